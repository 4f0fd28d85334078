"""Training: SFT, GRPO, and every way of combining them."""

from studylib.models import mend_torchvision

mend_torchvision()  # TRL imports torchvision

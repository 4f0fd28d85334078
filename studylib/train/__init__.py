"""Training: SFT, GRPO, and every way of combining them."""

import warnings

from transformers.utils import logging

from studylib.engine.models import mend_torchvision

mend_torchvision()  # TRL imports torchvision
warnings.filterwarnings("ignore", message="TRL currently supports vLLM versions")  # none is used
logging.disable_progress_bar()

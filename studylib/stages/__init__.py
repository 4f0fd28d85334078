"""What each kind of stage does: read its inputs, call one module, leave files in its work folder."""

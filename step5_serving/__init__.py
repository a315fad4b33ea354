"""Step 5: the retrieval system of step 3 as a service that one can operate."""

from shared.masking import mask_also

KEY_PREFIX = "s5_"
KEY = rf"{KEY_PREFIX}[0-9a-f]{{8}}_[\w-]{{43}}"  # a key of the service, which api/keys.py makes

mask_also(KEY)  # here, so that every process that imports a part of this step masks them

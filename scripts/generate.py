"""`keras-vae generate` of this checkout, also where it is not installed."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from keras_vae.cli.generate import main

if __name__ == "__main__":
    sys.exit(main())

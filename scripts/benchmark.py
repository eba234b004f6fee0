"""`keras-vae benchmark` of this checkout."""

import sys

from keras_vae.cli.benchmark import main

if __name__ == "__main__":
    sys.exit(main())

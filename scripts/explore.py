"""`keras-vae explore` of this checkout."""

import sys

from keras_vae.cli.explore import main

if __name__ == "__main__":
    sys.exit(main())

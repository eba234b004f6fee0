"""`keras-vae report` of this checkout."""

import sys

from keras_vae.cli.report import main

if __name__ == "__main__":
    sys.exit(main())

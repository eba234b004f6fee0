"""`keras-vae anomaly` of this checkout."""

import sys

from keras_vae.cli.anomaly import main

if __name__ == "__main__":
    sys.exit(main())

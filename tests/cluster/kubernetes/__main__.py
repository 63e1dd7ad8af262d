import sys

from tests.cluster.kubernetes.command import main

sys.exit(main())

import sys

from tests.nfs.command import main

sys.exit(main())

"""Needs a module that does not exist."""

import no_such_module_for_sure

no_such_module_for_sure.run()

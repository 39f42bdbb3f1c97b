"""How dates are written by default: see FORMAT_MODULE_PATH of the settings."""

"""System checks with ids: settings that production must not start without."""

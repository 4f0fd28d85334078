"""What leaves the study: results in foreign formats, models with their cards."""

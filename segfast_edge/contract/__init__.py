"""What training and device share: preprocessing, labels to masks, the manifest and the report. Light by rule."""

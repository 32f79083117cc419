"""The settings of the app and of the SDK, read once and frozen. Only ``sdk`` reads the SDK."""

"""What the app and the SDK set: read once, then frozen. Only ``sdk`` looks at the SDK."""

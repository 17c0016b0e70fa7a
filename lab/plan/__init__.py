"""Pure planning: models and a binding in, a frozen `Plan` out."""

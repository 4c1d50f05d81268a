"""The only home of the AWS SDK: what leaves this package is spotd's own types."""

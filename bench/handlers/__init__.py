"""What Daybook is measured against. Each file is a Lambda function by itself, deployed as it stands."""

"""spotd finds EC2 capacity across AWS accounts and moves it to Spot without losing service."""

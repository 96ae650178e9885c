"""Made-up runs (a pass, a failure, an unknown) to develop and test the report with."""

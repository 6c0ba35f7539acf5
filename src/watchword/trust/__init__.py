"""Services, issuers, and who may call whom."""

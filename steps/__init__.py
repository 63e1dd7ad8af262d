"""The steps of a promotion: small programs that know nothing of the workflow that runs them."""

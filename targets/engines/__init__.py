"""One module per runtime, each with what ``targets.common.session.Engine`` names."""

"""The aggregation task: from a ledger of small searches to one larger pattern."""

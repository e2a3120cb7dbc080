"""What of the machine stops the service next: symptoms, judgements, remedies."""

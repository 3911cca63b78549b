"""Pairs turned or scaled against each other: propose and rectify."""

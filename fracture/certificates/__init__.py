"""Certified radii: lower bounds of the smallest perturbation, sound in floating point."""

from ._certify import Certificate, CertificateStatus, certify

__all__ = ["Certificate", "CertificateStatus", "certify"]

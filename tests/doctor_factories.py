from .doctor.factories import NOW, problems

__all__ = ["NOW", "problems"]

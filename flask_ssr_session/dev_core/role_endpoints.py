"""The endpoints of the UserRoles recipe."""

from __future__ import annotations

from .endpoint import JSON, EndpointTable, ok
from .fields import Fields
from .roles import Roles

_UNKNOWN_ROLE: JSON = {"status": "UNKNOWN_ROLE_ERROR"}


class RoleEndpoints:
    """Create roles, add permissions to them, and assign them to users."""

    def __init__(self, roles: Roles) -> None:
        self._roles = roles
        self.table: EndpointTable = {
            "/recipe/role": {"PUT": self._create_role},
            "/recipe/role/remove": {"POST": self._remove_role},
            "/recipe/roles": {"GET": lambda _: ok(roles=self._roles.list_all())},
            "/recipe/role/permissions": {"GET": self._permissions_of_role},
            "/recipe/role/permissions/remove": {"POST": self._remove_permissions},
            "/recipe/permission/roles": {"GET": self._roles_with_permission},
            "/recipe/role/users": {"GET": self._users_with_role},
            "/recipe/user/role": {"PUT": self._give_role},
            "/recipe/user/role/remove": {"POST": self._take_role},
            "/recipe/user/roles": {"GET": self._roles_of_user},
        }

    def _create_role(self, fields: Fields) -> JSON:
        permissions = fields.optional_texts("permissions") or []
        return ok(createdNewRole=self._roles.create(fields.text("role"), permissions))

    def _remove_role(self, fields: Fields) -> JSON:
        return ok(didRoleExist=self._roles.remove(fields.text("role")))

    def _permissions_of_role(self, fields: Fields) -> JSON:
        permissions = self._roles.permissions_of(fields.text("role"))
        return _UNKNOWN_ROLE if permissions is None else ok(permissions=permissions)

    def _remove_permissions(self, fields: Fields) -> JSON:
        role, permissions = fields.text("role"), fields.optional_texts("permissions")
        if permissions is None:
            permissions = self._roles.permissions_of(role) or []
        removed = self._roles.remove_permissions(role, permissions)
        return ok() if removed else _UNKNOWN_ROLE

    def _roles_with_permission(self, fields: Fields) -> JSON:
        return ok(roles=self._roles.roles_with_permission(fields.text("permission")))

    def _users_with_role(self, fields: Fields) -> JSON:
        users = self._roles.users_with(fields.text("role"))
        return _UNKNOWN_ROLE if users is None else ok(users=users)

    def _give_role(self, fields: Fields) -> JSON:
        is_new = self._roles.give(fields.text("userId"), fields.text("role"))
        return _UNKNOWN_ROLE if is_new is None else ok(didUserAlreadyHaveRole=not is_new)

    def _take_role(self, fields: Fields) -> JSON:
        had_role = self._roles.take(fields.text("userId"), fields.text("role"))
        return _UNKNOWN_ROLE if had_role is None else ok(didUserHaveRole=had_role)

    def _roles_of_user(self, fields: Fields) -> JSON:
        return ok(roles=self._roles.roles_of(fields.text("userId")))

"""The objects that clients only read: users, groups, queues, rules and the organization."""

from __future__ import annotations

import functools

from pipelines.emulator.org.field_definitions import (
    flag,
    picklist,
    read_only,
    reference,
    system_fields,
    text,
)
from pipelines.emulator.org.schema import Field, SObject

USER_TYPES = ("Standard", "PowerPartner", "CspLitePortal", "CustomerSuccess", "CsnOnly", "Guest")


def user_fields() -> list[Field]:
    """Return the fields of User. Username is unique and in lower case; Email is not unique."""
    return [
        *system_fields(),
        text("Username", "Username", 80, nillable=False, id_lookup=True, unique=True),
        text("LastName", "Last Name", 80, nillable=False),
        text("FirstName", "First Name", 40),
        text("Name", "Full Name", 121, name_field=True, nillable=False),
        text("Email", "Email", 128, "email", nillable=False, id_lookup=True),
        text("Alias", "Alias", 8, nillable=False),
        text("CommunityNickname", "Nickname", 40),
        text("FederationIdentifier", "SAML Federation ID", 512, id_lookup=True),
        text("EmployeeNumber", "Employee Number", 20),
        text("Title", "Title", 80),
        text("Phone", "Phone", 40, "phone"),
        flag("IsActive", "Active", default=1),
        picklist("UserType", "User Type", USER_TYPES, length=40, restricted=True),
        reference("ProfileId", "Profile ID", "Profile", relationship="Profile"),
        reference("UserRoleId", "Role ID", "UserRole", relationship="UserRole"),
        reference("ManagerId", "Manager ID", "User", relationship="Manager"),
    ]


def group_fields() -> list[Field]:
    """Return the fields of Group. A queue is a Group whose Type is Queue."""
    return [
        *system_fields(),
        text("Name", "Name", 40, name_field=True, nillable=False, id_lookup=True),
        text("DeveloperName", "Developer Name", 80),
        picklist("Type", "Type", ("Queue", "Regular", "Role"), length=40),
        text("Email", "Email", 255, "email"),
        flag("DoesSendEmailToMembers", "Send Email to Members"),
        reference("RelatedId", "Related ID", "User", relationship="Related"),
    ]


@functools.cache
def setup_objects() -> list[SObject]:
    """Return users, groups, queues, rules and the organization, which clients only read."""
    return [
        SObject("User", "User", "Users", "005", tuple(user_fields())),
        SObject("Group", "Group", "Groups", "00G", tuple(group_fields())),
        _setup(
            "QueueSobject",
            "03g",
            reference("QueueId", "Group ID", "Group", relationship="Queue"),
            picklist("SobjectType", "Sobject Type", ("Lead", "Case"), length=40),
        ),
        _setup(
            "GroupMember",
            "011",
            reference("GroupId", "Group ID", "Group", relationship="Group"),
            reference(
                "UserOrGroupId", "User/Group ID", "Group", "User", relationship="UserOrGroup"
            ),
        ),
        _setup(
            "AssignmentRule",
            "01Q",
            text("Name", "Name", 120, name_field=True),
            picklist("SobjectType", "SObject Type", ("Case", "Lead"), length=40),
            flag("Active", "Active"),
        ),
        _setup(
            "Organization",
            "00D",
            text("Name", "Name", 80, name_field=True),
            flag("IsSandbox", "Is Sandbox"),
            text("InstanceName", "Instance Name", 5),
            text("NamespacePrefix", "Namespace Prefix", 15),
            # The sf command line queries it before every command; an org that is no trial has none.
            Field("TrialExpirationDate", "Trial Expiration Date", "datetime"),
            picklist("OrganizationType", "Edition", ("Enterprise Edition",), length=40),
            picklist("DefaultLeadAccess", "Default Lead Access", ("ReadEditTransfer",), length=40),
        ),
        _setup(
            "RecordType",
            "012",
            text("Name", "Name", 80, name_field=True, id_lookup=True),
            text("DeveloperName", "Developer Name", 80),
            text("NamespacePrefix", "Namespace Prefix", 15),
            picklist("SobjectType", "SObject Type Name", ("Lead",), length=40),
            flag("IsActive", "Active", default=1),
        ),
        _setup(
            "LeadStatus",
            "01J",
            text("ApiName", "API Name", 255),
            text("MasterLabel", "Master Label", 255, name_field=True),
            flag("IsConverted", "Is Converted"),
            flag("IsDefault", "Is Default"),
            Field("SortOrder", "Sort Order", "int", precision=9),
        ),
    ]


def policy_objects() -> list[SObject]:
    """Return profiles, roles and duplicate rules, which clients only read."""
    return [
        _setup(
            "Profile",
            "00e",
            text("Name", "Name", 255, name_field=True),
            picklist("UserType", "User Type", USER_TYPES, length=40, restricted=True),
        ),
        _setup(
            "UserRole",
            "00E",
            text("Name", "Name", 80, name_field=True),
            text("DeveloperName", "Developer Name", 80),
            reference("ParentRoleId", "Parent Role ID", "UserRole", relationship="ParentRole"),
        ),
        _setup(
            "DuplicateRule",
            "0Bm",
            text("DeveloperName", "Object Name", 80),
            text("MasterLabel", "Rule Name", 80, name_field=True),
            picklist("SobjectType", "Object", ("Lead", "Contact"), length=40),
            picklist("SobjectSubtype", "Object Subtype", ("None",), length=40),
            picklist("Language", "Language", ("en_US",), length=40),
            flag("IsActive", "Active", default=1),
        ),
    ]


def _setup(name: str, prefix: str, *fields: Field) -> SObject:
    return SObject(name, name, f"{name}s", prefix, (*system_fields(), *map(read_only, fields)))

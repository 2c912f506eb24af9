#include "billing/core/person_rules.h"

#include <fmt/format.h>

#include <algorithm>

namespace tidegate::billing {

namespace {

constexpr const char* kRoleNames = "operator, owner, billing, developer or viewer";

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

std::unexpected<Error> bad_map(std::string why) {
  return fail(Code::kInvalidArgument, "bad_role_map", "oidc.role_map " + why, "oidc.role_map");
}

}  // namespace

Result<RoleMap> RoleMap::parse(std::string_view text) {
  RoleMap map;
  while (true) {
    const std::size_t comma = text.find(',');
    const std::string_view entry = trimmed(text.substr(0, comma));
    const std::size_t equals = entry.rfind('=');
    if (equals == std::string_view::npos) {
      return bad_map(fmt::format("holds '{}'; an entry is value=role, such as admins=owner", entry));
    }
    const std::string value(trimmed(entry.substr(0, equals)));
    const auto role = parse_admin_role(trimmed(entry.substr(equals + 1)));
    if (value.empty() || value.size() > kValueBytesMax) {
      return bad_map(fmt::format("holds '{}'; a value has 1 to {} bytes", entry, kValueBytesMax));
    }
    if (!role) return bad_map(fmt::format("holds '{}'; a role is {}", entry, kRoleNames));
    if (std::ranges::find(map.entries_, value, &Entry::value) != map.entries_.end()) {
      return bad_map(fmt::format("names '{}' twice", value));
    }
    if (map.entries_.size() == kEntriesMax) return bad_map(fmt::format("has at most {} entries", kEntriesMax));
    map.entries_.push_back({value, *role});
    if (comma == std::string_view::npos) return map;
    text.remove_prefix(comma + 1);
  }
}

std::optional<AdminRole> RoleMap::role_of(std::span<const std::string> values) const {
  for (const Entry& entry : entries_) {
    if (std::ranges::find(values, entry.value) != values.end()) return entry.role;
  }
  return std::nullopt;
}

Result<PersonShape> shape_of_person(const RoleMap& map, std::span<const std::string> roles,
                                    const std::optional<std::vector<std::string>>& tenants) {
  const auto role = map.role_of(roles);
  if (!role) {
    return fail(Code::kPermissionDenied, "no_role",
                "your account has no role in this installation: ask its operator, who sets oidc.role_map");
  }
  PersonShape person{*role, {}};
  if (!tenants) return person;
  if (tenants->size() != 1 || tenants->front().empty()) {
    return fail(Code::kPermissionDenied, "no_tenant",
                "your account names no tenant, or several: the claim of oidc.tenant_claim holds one, or * for all");
  }
  if (tenants->front() != kEveryTenant) person.tenant = tenants->front();
  if (*role == AdminRole::kOperator && !person.tenant.empty()) {
    return fail(Code::kPermissionDenied, "operator_of_a_tenant",
                "an operator runs the installation and is of no tenant: oidc.tenant_claim must say *");
  }
  return person;
}

}  // namespace tidegate::billing

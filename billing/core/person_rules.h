#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/result.h"
#include "billing/core/admin_roles.h"

/// What an identity provider's words mean here: which role a person has, and of which tenant. Pure.
namespace tidegate::billing {

/// The value of the tenant claim that stands for the whole installation.
inline constexpr std::string_view kEveryTenant = "*";

/// Which role each value of the role claim stands for.
class RoleMap {
 public:
  static constexpr std::size_t kEntriesMax = 64;
  static constexpr std::size_t kValueBytesMax = 255;

  /// "group-a=owner,group-b=viewer": the last '=' of an entry divides it; spaces around both are dropped.
  /// Fails: invalid_argument/bad_role_map naming the entry.
  static Result<RoleMap> parse(std::string_view text);

  /// The role of the first entry, in the order of the map, whose value is among `values`: the order decides for a person
  /// of several groups. nullopt: none is.
  std::optional<AdminRole> role_of(std::span<const std::string> values) const;

 private:
  struct Entry {
    std::string value;
    AdminRole role = AdminRole::kViewer;
  };
  std::vector<Entry> entries_;
};

/// What a person may be, before the tenant is looked up.
struct PersonShape {
  AdminRole role = AdminRole::kViewer;
  std::string tenant;  ///< id or name; "" = every tenant
};

/// `tenants`: the values of the tenant claim; nullopt when no such claim is set up, and then everybody is of the whole
/// installation. With one, its value must be there: "*" for the whole installation, else a tenant.
/// Fails: permission_denied/no_role, no_tenant, or operator_of_a_tenant.
Result<PersonShape> shape_of_person(const RoleMap& map, std::span<const std::string> roles,
                                    const std::optional<std::vector<std::string>>& tenants);

}  // namespace tidegate::billing

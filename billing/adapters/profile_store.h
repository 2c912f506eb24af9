#pragma once

#include <pqxx/transaction>
#include <string>

#include "base/core/ids.h"
#include "billing/core/tax_rate.h"

/// Who invoices, and who is invoiced. Everything runs in the caller's transaction.
namespace tidegate::billing {

struct IssuerRow {
  std::string id;
  std::string legal_name, address, tax_id;  ///< address: lines
  std::string prefix, credit_prefix;        ///< of document numbers
};
struct ProfileRow {
  TenantId tenant;
  std::string issuer = "default";
  std::string legal_name, address, tax_id;
  std::string tax_name = "Tax";
  TaxRate tax;
};

/// Fails: not_found/unknown_issuer.
Result<IssuerRow> find_issuer(pqxx::work& tx, const std::string& id);
/// Made or changed. Names are text of at most 200 bytes, addresses of 500, tax ids of 64. A prefix in use by another
/// series is refused, one with documents stays as it is.
/// Fails: invalid_argument/{bad_name, bad_text, bad_prefix}, already_exists/prefix_taken,
/// failed_precondition/prefix_in_use.
Result<IssuerRow> save_issuer(pqxx::work& tx, const IssuerRow& issuer);

/// The tenant's, or what holds for a tenant without one.
ProfileRow load_profile(pqxx::work& tx, TenantId tenant);
/// Fails: not_found/unknown_issuer, invalid_argument/bad_text.
Result<ProfileRow> save_profile(pqxx::work& tx, const ProfileRow& profile);

}  // namespace tidegate::billing

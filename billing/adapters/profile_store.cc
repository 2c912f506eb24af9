#include "billing/adapters/profile_store.h"

#include <fmt/format.h>

#include "base/core/encoding.h"
#include "base/pg/types.h"
#include "billing/core/account_rules.h"
#include "billing/core/invoice.h"

namespace tidegate::billing {

namespace {

constexpr std::size_t kLegalNameMax = 200;
constexpr std::size_t kAddressMax = 500;
constexpr std::size_t kTaxIdMax = 64;

constexpr const char* kFindIssuer = R"sql(
  SELECT id, legal_name, address, tax_id, prefix, credit_prefix FROM issuers WHERE id = $1)sql";
constexpr const char* kPrefixTaken = R"sql(
  SELECT 1 FROM issuers WHERE id <> $1 AND (prefix IN ($2, $3) OR credit_prefix IN ($2, $3)))sql";
constexpr const char* kHasDocuments = "SELECT 1 FROM document_numbers WHERE issuer = $1 LIMIT 1";
constexpr const char* kSaveIssuer = R"sql(
  INSERT INTO issuers (id, legal_name, address, tax_id, prefix, credit_prefix) VALUES ($1, $2, $3, $4, $5, $6)
  ON CONFLICT (id) DO UPDATE SET legal_name = EXCLUDED.legal_name, address = EXCLUDED.address, tax_id = EXCLUDED.tax_id,
    prefix = EXCLUDED.prefix, credit_prefix = EXCLUDED.credit_prefix)sql";
constexpr const char* kFindProfile = R"sql(
  SELECT issuer, legal_name, address, tax_id, tax_name, tax_num, tax_den FROM billing_profiles WHERE tenant_id = $1)sql";
constexpr const char* kSaveProfile = R"sql(
  INSERT INTO billing_profiles (tenant_id, issuer, legal_name, address, tax_id, tax_name, tax_num, tax_den)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
  ON CONFLICT (tenant_id) DO UPDATE SET issuer = EXCLUDED.issuer, legal_name = EXCLUDED.legal_name, address = EXCLUDED.address,
    tax_id = EXCLUDED.tax_id, tax_name = EXCLUDED.tax_name, tax_num = EXCLUDED.tax_num, tax_den = EXCLUDED.tax_den)sql";

/// Printed on a document: no control characters but line ends in an address.
Status check_text(const std::string& text, std::size_t most, bool has_lines, const std::string& field) {
  bool is_fine = text.size() <= most && is_valid_utf8(text);
  for (const char c : text) is_fine &= static_cast<unsigned char>(c) >= ' ' || (has_lines && c == '\n');
  if (is_fine) return {};
  return fail(Code::kInvalidArgument, "bad_text",
              fmt::format("{} must be UTF-8 text of at most {} bytes without control characters", field, most), field);
}

template <typename Row>
Status check_party(const Row& row) {
  TG_TRY(check_text(row.legal_name, kLegalNameMax, false, "legal_name"));
  TG_TRY(check_text(row.address, kAddressMax, true, "address"));
  return check_text(row.tax_id, kTaxIdMax, false, "tax_id");
}

}  // namespace

Result<IssuerRow> find_issuer(pqxx::work& tx, const std::string& id) {
  const auto rows = tx.exec_params(kFindIssuer, id);
  if (rows.empty()) {
    return fail(Code::kNotFound, "unknown_issuer",
                fmt::format("there is no issuer \"{}\"; make it with: tidegate invoice issuer", id), "issuer");
  }
  const auto& row = rows[0];
  return IssuerRow{pg::read_text(row[0]), pg::read_text(row[1]), pg::read_text(row[2]),
                   pg::read_text(row[3]), pg::read_text(row[4]), pg::read_text(row[5])};
}

Result<IssuerRow> save_issuer(pqxx::work& tx, const IssuerRow& issuer) {
  TG_TRY(check_name(issuer.id, "issuer"));
  TG_TRY(check_party(issuer));
  if (issuer.legal_name.empty())
    return fail(Code::kInvalidArgument, "bad_text", "legal_name must not be empty", "legal_name");
  TG_TRY(check_prefix(issuer.prefix, "prefix"));
  TG_TRY(check_prefix(issuer.credit_prefix, "credit_prefix"));
  if (issuer.prefix == issuer.credit_prefix ||
      !tx.exec_params(kPrefixTaken, issuer.id, issuer.prefix, issuer.credit_prefix).empty()) {
    return fail(Code::kAlreadyExists, "prefix_taken",
                "invoices and credit notes of every issuer need prefixes of their own", "prefix");
  }
  if (const auto before = find_issuer(tx, issuer.id);
      before && (before->prefix != issuer.prefix || before->credit_prefix != issuer.credit_prefix) &&
      !tx.exec_params(kHasDocuments, issuer.id).empty()) {
    return fail(Code::kFailedPrecondition, "prefix_in_use",
                fmt::format("issuer \"{}\" has numbered documents: its prefixes stay; make another issuer", issuer.id),
                "prefix");
  }
  tx.exec_params0(kSaveIssuer, issuer.id, issuer.legal_name, issuer.address, issuer.tax_id, issuer.prefix,
                  issuer.credit_prefix);
  return issuer;
}

ProfileRow load_profile(pqxx::work& tx, TenantId tenant) {
  ProfileRow out;
  out.tenant = tenant;
  const auto rows = tx.exec_params(kFindProfile, pg::to_sql(tenant));
  if (rows.empty()) return out;
  const auto& row = rows[0];
  out.issuer = pg::read_text(row[0]);
  out.legal_name = pg::read_text(row[1]);
  out.address = pg::read_text(row[2]);
  out.tax_id = pg::read_text(row[3]);
  out.tax_name = pg::read_text(row[4]);
  out.tax = TaxRate{pg::read_int64(row[5]), pg::read_int64(row[6])};
  return out;
}

Result<ProfileRow> save_profile(pqxx::work& tx, const ProfileRow& profile) {
  TG_TRY(check_party(profile));
  TG_TRY(check_text(profile.tax_name, kTaxIdMax, false, "tax_name"));
  TG_ASSIGN(const auto issuer, find_issuer(tx, profile.issuer));
  tx.exec_params0(kSaveProfile, pg::to_sql(profile.tenant), issuer.id, profile.legal_name, profile.address,
                  profile.tax_id, profile.tax_name, profile.tax.num, profile.tax.den);
  return profile;
}

}  // namespace tidegate::billing

#pragma once

#include "billing/adapters/accounts_view.h"
#include "billing/adapters/admin_key_store.h"
#include "billing/adapters/lease_store.h"
#include "billing/adapters/reconcile.h"
#include "billing/adapters/usage_query.h"
#include "billing/adapters/usage_store.h"
#include "billing/adapters/wallet_store.h"
#include "tidegate/v1/admin.pb.h"
#include "tidegate/v1/billing.pb.h"

/// Our rows <-> proto/tidegate/v1. Reading fails as invalid_argument and names the field.
namespace tidegate::billing {

/// As most fields of an instant have it: 0 is none.
inline std::int64_t micros_or_zero(const std::optional<Wall>& at) { return at ? unix_micros(*at) : 0; }

v1::Tenant to_message(const TenantRow& row);
v1::Project to_message(const ProjectRow& row);
v1::ApiKey to_message(const KeyRow& row);
v1::AdminKey to_message(const AdminKeyRow& row);
v1::AdminRole to_message(AdminRole role);
v1::Wallet to_message(const WalletRow& row);
v1::LedgerTx to_message(const LedgerTxRow& row);
v1::UsageRow to_message(const UsageRow& row);
v1::UsageSum to_message(const UsageSumRow& row);
v1::ReconcileResponse to_message(const ReconcileReport& report);
v1::Principal to_message(const PrincipalRow& row);
v1::PriceVersion to_message(const price::PriceVersion& version);
v1::PriceModifier to_message(const price::Modifier& modifier);
v1::HolidayCalendar to_message(const price::Calendar& calendar);
v1::Lease to_message(const LeaseRow& row);

Result<UsageBatch> read_batch(const v1::UsageBatch& batch);
Result<UsageEvent> read_event(const v1::UsageEvent& event, std::size_t index);
/// "" is zero when `is_optional`. Fails: invalid_argument/bad_amount.
Result<Money> read_amount(const std::string& text, const std::string& field, bool is_optional = false);
/// Fails: invalid_argument/bad_role.
Result<AdminRole> read_admin_role(v1::AdminRole role);
Result<PageOf> read_page(const v1::Page& page);

}  // namespace tidegate::billing

#include "billing/rpc/budget_messages.h"

#include "billing/rpc/messages.h"

namespace tidegate::billing {

namespace {

v1::CapScope cap_scope_message(CapScope scope) {
  switch (scope) {
    case CapScope::kTenant:
      return v1::CAP_SCOPE_TENANT;
    case CapScope::kProject:
      return v1::CAP_SCOPE_PROJECT;
    case CapScope::kKey:
      return v1::CAP_SCOPE_KEY;
    case CapScope::kUser:
      return v1::CAP_SCOPE_USER;
  }
  return v1::CAP_SCOPE_UNSPECIFIED;
}

v1::CapPeriod period_message(CapPeriod period) {
  switch (period) {
    case CapPeriod::kTotal:
      return v1::CAP_PERIOD_TOTAL;
    case CapPeriod::kMonthly:
      return v1::CAP_PERIOD_MONTHLY;
    case CapPeriod::kDaily:
      return v1::CAP_PERIOD_DAILY;
  }
  return v1::CAP_PERIOD_UNSPECIFIED;
}

}  // namespace

v1::CapSpend to_message(const CapSpendRow& row) {
  v1::CapSpend out;
  out.set_period_id(row.id.to_string());
  if (!row.end_user.is_nil()) out.set_end_user(row.end_user.to_string());
  out.set_starts_us(micros_or_zero(row.starts));
  out.set_ends_us(micros_or_zero(row.ends));
  out.set_allowed(row.allowed.to_string());
  out.set_spent(row.spent.to_string());
  out.set_leased(row.leased.to_string());
  return out;
}

v1::Cap to_message(const CapRow& row) {
  v1::Cap out;
  out.set_cap_id(row.id.to_string());
  out.set_tenant_id(row.tenant.to_string());
  out.set_tenant_name(row.tenant_name);
  out.set_scope(std::string(cap_scope_name(row.scope)));
  if (!row.subject.is_nil()) out.set_subject(row.subject.to_string());
  const bool is_every_user = row.scope == CapScope::kUser && row.subject.is_nil();
  out.set_subject_name(is_every_user ? "each end user" : row.subject_name);
  out.set_period(std::string(cap_period_name(row.period)));
  out.set_amount(row.amount.to_string());
  out.set_currency(row.currency);
  out.set_created_us(unix_micros(row.created));
  out.set_removed_us(micros_or_zero(row.removed));
  if (row.current) *out.mutable_current() = to_message(*row.current);
  return out;
}

v1::Grant to_message(const GrantRow& row) {
  v1::Grant out;
  out.set_grant_id(row.id.to_string());
  out.set_tenant_name(row.tenant_name);
  out.set_wallet_id(row.wallet.to_string());
  out.set_currency(row.currency);
  out.set_name(row.name);
  out.set_amount(row.amount.to_string());
  out.set_consumed(row.consumed.to_string());
  out.set_lapsed(row.lapsed.to_string());
  out.set_left(row.left().to_string());
  out.set_priority(static_cast<std::int32_t>(row.priority));
  out.set_effective_us(unix_micros(row.effective));
  out.set_expires_us(unix_micros(row.expires));
  for (const auto& model : row.models) out.add_models(model);
  out.set_voided_us(micros_or_zero(row.voided));
  return out;
}

v1::Alert to_message(const AlertRow& row) {
  v1::Alert out;
  out.set_alert_id(row.id.to_string());
  out.set_tenant_name(row.tenant_name);
  out.set_kind(row.kind);
  out.set_subject_id(row.subject.to_string());
  if (!row.end_user.is_nil()) out.set_end_user(row.end_user.to_string());
  out.set_threshold(row.threshold);
  out.set_limit(row.limit.to_string());
  out.set_used(row.used.to_string());
  out.set_currency(row.currency);
  out.set_raised_us(unix_micros(row.raised));
  out.set_delivered_us(micros_or_zero(row.delivered));
  out.set_attempts(row.attempts);
  out.set_last_error(row.last_error);
  return out;
}

v1::CapRule rule_message(const CapRow& row) {
  v1::CapRule out;
  out.set_cap_id(std::string(row.id.raw()));
  out.set_tenant_id(std::string(row.tenant.raw()));
  out.set_scope(cap_scope_message(row.scope));
  out.set_subject(std::string(row.subject.raw()));
  out.set_period(period_message(row.period));
  out.set_amount(row.amount.to_string());
  return out;
}

v1::Lease cap_lease_message(const CapLeaseRow& row) {
  v1::Lease out = to_message(row.lease);
  out.clear_wallet_id();
  out.set_period_end_us(micros_or_zero(row.ends));
  return out;
}

}  // namespace tidegate::billing

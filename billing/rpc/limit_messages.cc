#include "billing/rpc/limit_messages.h"

namespace tidegate::billing {

namespace {

v1::LimitScope limit_scope_message(CapScope scope) {
  switch (scope) {
    case CapScope::kTenant:
      return v1::LIMIT_SCOPE_TENANT;
    case CapScope::kProject:
      return v1::LIMIT_SCOPE_PROJECT;
    case CapScope::kKey:
      return v1::LIMIT_SCOPE_KEY;
    case CapScope::kUser:
      return v1::LIMIT_SCOPE_UNSPECIFIED;  // limits have no end users; gateways refuse what they cannot read
  }
  return v1::LIMIT_SCOPE_UNSPECIFIED;
}

}  // namespace

v1::RateLimit to_message(const RateLimitRow& row) {
  v1::RateLimit out;
  out.set_limit_id(row.id.to_string());
  out.set_tenant_id(row.tenant.to_string());
  out.set_tenant_name(row.tenant_name);
  out.set_scope(std::string(cap_scope_name(row.scope)));
  if (!row.subject.is_nil()) out.set_subject(row.subject.to_string());
  out.set_subject_name(row.subject_name);
  out.set_model(row.model);
  out.set_requests_per_minute(row.numbers.requests_per_minute);
  out.set_tokens_per_minute(row.numbers.tokens_per_minute);
  out.set_tokens_per_day(row.numbers.tokens_per_day);
  out.set_concurrency(row.numbers.concurrency);
  out.set_created_us(unix_micros(row.created));
  out.set_removed_us(row.removed ? unix_micros(*row.removed) : 0);
  return out;
}

v1::RateLimitRule rule_message(const RateLimitRow& row) {
  v1::RateLimitRule out;
  out.set_limit_id(std::string(row.id.raw()));
  out.set_tenant_id(std::string(row.tenant.raw()));
  out.set_scope(limit_scope_message(row.scope));
  out.set_subject(std::string(row.subject.raw()));
  out.set_model(row.model);
  out.set_requests_per_minute(row.numbers.requests_per_minute);
  out.set_tokens_per_minute(row.numbers.tokens_per_minute);
  out.set_tokens_per_day(row.numbers.tokens_per_day);
  out.set_concurrency(row.numbers.concurrency);
  return out;
}

}  // namespace tidegate::billing

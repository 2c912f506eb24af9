#include "billing/rpc/messages.h"

#include <fmt/format.h>

#include "base/crypto/sha256.h"
#include "base/price/price_file.h"
#include "base/receipt_event/event_receipt.h"

namespace tidegate::billing {

namespace {

constexpr int kPageDefault = 100;
constexpr int kPageMax = 1000;

template <typename IdType>
Result<IdType> read_id(const std::string& raw, std::size_t index, std::string_view member) {
  auto id = IdType::from_bytes(raw);
  if (id) return id;
  return fail(Code::kInvalidArgument, "bad_event", fmt::format("{} must be 16 bytes", member),
              fmt::format("events[{}].{}", index, member));
}

v1::PriceBasis basis_message(price::Basis basis) {
  switch (basis) {
    case price::Basis::kCompletedAt: return v1::PRICE_BASIS_COMPLETED_AT;
    case price::Basis::kAdmittedAt: return v1::PRICE_BASIS_ADMITTED_AT;
    case price::Basis::kStartedAt: return v1::PRICE_BASIS_STARTED_AT;
  }
  return v1::PRICE_BASIS_UNSPECIFIED;
}

v1::UsageStatus status_message(UsageStatus status) {
  switch (status) {
    case UsageStatus::kCompleted: return v1::USAGE_STATUS_COMPLETED;
    case UsageStatus::kCancelled: return v1::USAGE_STATUS_CANCELLED;
    case UsageStatus::kInterrupted: return v1::USAGE_STATUS_INTERRUPTED;
    case UsageStatus::kFailed: return v1::USAGE_STATUS_FAILED;
  }
  return v1::USAGE_STATUS_UNSPECIFIED;
}

std::optional<UsageStatus> read_status(v1::UsageStatus status) {
  switch (status) {
    case v1::USAGE_STATUS_COMPLETED: return UsageStatus::kCompleted;
    case v1::USAGE_STATUS_CANCELLED: return UsageStatus::kCancelled;
    case v1::USAGE_STATUS_INTERRUPTED: return UsageStatus::kInterrupted;
    case v1::USAGE_STATUS_FAILED: return UsageStatus::kFailed;
    default: return std::nullopt;
  }
}

/// The event without its sequence and its place in the chain of receipts: the same request told again under another
/// number is the same event.
Digest payload_sha256(v1::UsageEvent event) {
  event.clear_sequence();
  event.clear_receipt();
  return sha256(event.SerializeAsString());
}

v1::UsageEvent event_message(const UsageEvent& event) {
  v1::UsageEvent out;
  out.set_sequence(event.sequence);
  out.set_request_id(std::string(event.request.raw()));
  out.set_tenant_id(std::string(event.tenant.raw()));
  out.set_project_id(std::string(event.project.raw()));
  out.set_key_id(std::string(event.key.raw()));
  out.set_wallet_id(std::string(event.wallet.raw()));
  if (!event.lease.is_nil()) out.set_lease_id(std::string(event.lease.raw()));
  out.set_model(event.model);
  out.set_variant(event.variant);
  out.set_region(event.region);
  out.set_pool(event.pool);
  out.set_worker_id(event.worker_id);
  out.set_weights_digest(event.weights_digest);
  out.set_status(status_message(event.status));
  out.set_finish_reason(event.finish_reason);
  out.set_admitted_us(unix_micros(event.instants.admitted));
  out.set_started_us(unix_micros(event.instants.started));
  out.set_completed_us(unix_micros(event.instants.completed));
  out.set_clock_error_us(event.instants.clock_error.count());
  out.set_prompt_tokens(event.prompt_tokens);
  out.set_cached_tokens(event.cached_tokens);
  out.set_completion_tokens(event.completion_tokens);
  out.set_reasoning_tokens(event.reasoning_tokens);
  out.set_price_version(event.price_version);
  out.set_band(event.band);
  out.set_amount(event.amount.to_string());
  out.set_is_stream(event.is_stream);
  out.set_surface(event.surface);
  return out;
}

void set_rate(v1::PriceRate& out, const std::string& meter, Rate rate) {
  out.set_meter(meter);
  out.set_micro_per_million(rate.micro_per_million());
}

}  // namespace

v1::Tenant to_message(const TenantRow& row) {
  v1::Tenant out;
  out.set_tenant_id(row.id.to_string());
  out.set_name(row.name);
  out.set_billing_tz(row.billing_tz);
  out.set_currency(row.currency);
  out.set_is_suspended(row.is_suspended);
  out.set_created_us(unix_micros(row.created));
  out.set_wallet_id(row.wallet.to_string());
  for (const auto& region : row.regions) out.add_regions(region);
  out.set_queue_weight(row.queue_weight);
  out.set_tier_max(row.tier_max);
  return out;
}

v1::Project to_message(const ProjectRow& row) {
  v1::Project out;
  out.set_project_id(row.id.to_string());
  out.set_tenant_id(row.tenant.to_string());
  out.set_name(row.name);
  out.set_created_us(unix_micros(row.created));
  return out;
}

v1::ApiKey to_message(const KeyRow& row) {
  v1::ApiKey out;
  out.set_key_id(row.id.to_string());
  out.set_project_id(row.project.to_string());
  out.set_tenant_id(row.tenant.to_string());
  out.set_public_id(row.public_id);
  out.set_name(row.name);
  for (const auto& model : row.models) out.add_models(model);
  out.set_created_us(unix_micros(row.created));
  out.set_expires_us(micros_or_zero(row.expires));
  out.set_revoked_us(micros_or_zero(row.revoked));
  for (const auto& scope : row.scopes) out.add_scopes(scope);
  for (const auto& source : row.sources) out.add_sources(source);
  out.set_replaced_by(row.replaced_by);
  return out;
}

v1::AdminKey to_message(const AdminKeyRow& row) {
  v1::AdminKey out;
  out.set_key_id(row.id.to_string());
  out.set_public_id(row.public_id);
  out.set_name(row.name);
  out.set_role(to_message(row.role));
  if (row.tenant) out.set_tenant_id(row.tenant->to_string());
  out.set_tenant_name(row.tenant_name);
  out.set_created_us(unix_micros(row.created));
  out.set_expires_us(micros_or_zero(row.expires));
  out.set_revoked_us(micros_or_zero(row.revoked));
  return out;
}

v1::Wallet to_message(const WalletRow& row) {
  v1::Wallet out;
  out.set_wallet_id(row.id.to_string());
  out.set_tenant_id(row.tenant.to_string());
  out.set_tenant_name(row.tenant_name);
  out.set_currency(row.currency);
  out.set_balance(row.balance.to_string());
  out.set_leased(row.leased.to_string());
  out.set_credit_limit(row.credit_limit.to_string());
  out.set_available(row.available().to_string());
  return out;
}

v1::LedgerTx to_message(const LedgerTxRow& row) {
  v1::LedgerTx out;
  out.set_tx_id(row.id.to_string());
  out.set_source_type(row.source_type);
  out.set_source_id(row.source_id);
  out.set_effective_us(unix_micros(row.effective));
  out.set_posted_us(unix_micros(row.posted));
  for (const auto& entry : row.entries) {
    auto* message = out.add_entries();
    message->set_account(entry.account);
    message->set_currency(entry.currency);
    message->set_amount(entry.amount.to_string());
  }
  return out;
}

v1::UsageRow to_message(const UsageRow& row) {
  v1::UsageRow out;
  *out.mutable_event() = event_message(row.event);
  out.set_tenant_name(row.tenant_name);
  out.set_gateway_id(row.gateway);
  out.set_epoch(static_cast<std::uint64_t>(row.epoch));
  out.set_price_book(row.price_book);
  out.set_ledger_tx(row.ledger_tx);
  for (const auto& line : row.lines) {
    auto* message = out.add_lines();
    message->set_meter(line.meter);
    message->set_quantity(line.quantity);
    message->set_micro_per_million(line.micro_per_million);
    message->set_amount(line.amount.to_string());
  }
  return out;
}

v1::UsageSum to_message(const UsageSumRow& row) {
  v1::UsageSum out;
  out.set_tenant_name(row.tenant_name);
  out.set_project_name(row.project_name);
  out.set_model(row.model);
  out.set_meter(row.meter);
  out.set_band(row.band);
  out.set_hour_us(unix_micros(row.hour));
  out.set_quantity(row.quantity);
  out.set_amount(row.amount.to_string());
  out.set_currency(row.currency);
  out.set_region(row.region);
  out.set_pool(row.pool);
  return out;
}

v1::ReconcileResponse to_message(const ReconcileReport& report) {
  v1::ReconcileResponse out;
  for (const auto& check : report.checks) {
    auto* message = out.add_checks();
    message->set_name(check.name);
    message->set_statement(check.statement);
    message->set_differences(check.differences);
    message->set_example(check.example);
  }
  out.set_differences(report.differences);
  out.set_events(report.events);
  return out;
}

v1::Principal to_message(const PrincipalRow& row) {
  v1::Principal out;
  out.set_key_id(std::string(row.key.id.raw()));
  out.set_public_id(row.key.public_id);
  out.set_key_mac(row.mac);
  out.set_tenant_id(std::string(row.key.tenant.raw()));
  out.set_project_id(std::string(row.key.project.raw()));
  out.set_wallet_id(std::string(row.wallet.raw()));
  out.set_currency(row.currency);
  for (const auto& model : row.key.models) out.add_models(model);
  for (const auto& scope : row.key.scopes) out.add_scopes(scope);
  for (const auto& source : row.key.sources) out.add_sources(source);
  out.set_expires_us(micros_or_zero(row.key.expires));
  out.set_tenant_name(row.tenant_name);
  out.set_project_name(row.project_name);
  out.set_is_suspended(row.is_suspended);
  for (const auto& region : row.regions) out.add_regions(region);
  out.set_weight(row.queue_weight);
  out.set_tier_max(row.tier_max);
  return out;
}

v1::PriceVersion to_message(const price::PriceVersion& version) {
  v1::PriceVersion out;
  out.set_id(version.id);
  out.set_book(version.book);
  out.set_model(version.model);
  out.set_currency(version.currency);
  out.set_region(version.region);
  out.set_pool(version.pool);
  out.set_effective_from_us(unix_micros(version.effective_from));
  out.set_effective_to_us(micros_or_zero(version.effective_to));
  out.set_basis(basis_message(version.basis));
  out.set_sha256(price_sha256(version));
  out.set_tenant(version.tenant);
  if (!version.minimum_charge.is_zero()) out.set_minimum_charge(version.minimum_charge.to_string());
  for (const auto& schedule : version.schedules) {
    auto* message = out.add_schedules();
    message->set_name(schedule.name);
    message->set_is_default(schedule.is_default);
    message->set_tz(schedule.tz);
    for (const int day : schedule.days) message->add_days(day);
    for (const auto& window : schedule.windows) {
      auto* part = message->add_windows();
      part->set_start_s(window.start_s);
      part->set_end_s(window.end_s);
    }
    message->set_exclude_calendar(schedule.exclude_calendar);
    message->set_calendar_version(schedule.calendar_version);
    for (const auto& [meter, rate] : schedule.rates) set_rate(*message->add_rates(), meter, rate);
    for (const auto& tier : schedule.long_prompts) {
      auto* part = message->add_long_prompts();
      part->set_over(tier.over);
      for (const auto& [meter, rate] : tier.rates) set_rate(*part->add_rates(), meter, rate);
    }
  }
  return out;
}

v1::PriceModifier to_message(const price::Modifier& modifier) {
  v1::PriceModifier out;
  out.set_id(modifier.id);
  out.set_name(modifier.name);
  out.set_num(modifier.factor.num);
  out.set_den(modifier.factor.den);
  out.set_tenant(modifier.tenant);
  out.set_model(modifier.model);
  out.set_effective_from_us(unix_micros(modifier.effective_from));
  out.set_effective_to_us(micros_or_zero(modifier.effective_to));
  return out;
}

v1::HolidayCalendar to_message(const price::Calendar& calendar) {
  v1::HolidayCalendar out;
  out.set_id(calendar.id);
  out.set_version(calendar.version);
  for (const auto day : calendar.days) out.add_days(price::format_date(day));
  for (const auto day : calendar.workdays) out.add_workdays(price::format_date(day));
  return out;
}

v1::Lease to_message(const LeaseRow& row) {
  v1::Lease out;
  out.set_lease_id(std::string(row.id.raw()));
  out.set_wallet_id(std::string(row.wallet.raw()));
  out.set_amount(row.amount.to_string());
  out.set_granted(row.granted.to_string());
  out.set_expires_us(unix_micros(row.expires));
  out.set_wallet_available(row.wallet_available.to_string());
  return out;
}

Result<Money> read_amount(const std::string& text, const std::string& field, bool is_optional) {
  if (text.empty() && is_optional) return Money();
  auto amount = Money::parse(text);
  if (amount) return amount;
  return fail(Code::kInvalidArgument, "bad_amount",
              fmt::format("{} must be a decimal with at most 12 places, such as \"12.5\"", field), field);
}

v1::AdminRole to_message(AdminRole role) {
  switch (role) {
    case AdminRole::kOperator:
      return v1::ADMIN_ROLE_OPERATOR;
    case AdminRole::kOwner:
      return v1::ADMIN_ROLE_OWNER;
    case AdminRole::kBilling:
      return v1::ADMIN_ROLE_BILLING;
    case AdminRole::kDeveloper:
      return v1::ADMIN_ROLE_DEVELOPER;
    case AdminRole::kViewer:
      return v1::ADMIN_ROLE_VIEWER;
  }
  return v1::ADMIN_ROLE_UNSPECIFIED;
}

Result<AdminRole> read_admin_role(v1::AdminRole role) {
  switch (role) {
    case v1::ADMIN_ROLE_OPERATOR:
      return AdminRole::kOperator;
    case v1::ADMIN_ROLE_OWNER:
      return AdminRole::kOwner;
    case v1::ADMIN_ROLE_BILLING:
      return AdminRole::kBilling;
    case v1::ADMIN_ROLE_DEVELOPER:
      return AdminRole::kDeveloper;
    case v1::ADMIN_ROLE_VIEWER:
      return AdminRole::kViewer;
    default:
      return fail(Code::kInvalidArgument, "bad_role", "role is operator, owner, billing, developer or viewer", "role");
  }
}

Result<PageOf> read_page(const v1::Page& page) {
  PageOf out;
  if (page.limit() < 0 || page.limit() > kPageMax) {
    return fail(Code::kInvalidArgument, "bad_page", fmt::format("limit must be between 1 and {}", kPageMax), "page.limit");
  }
  out.limit = page.limit() == 0 ? kPageDefault : page.limit();
  if (!page.after().empty()) {
    const auto after = Uuid::parse(page.after());
    if (!after) return fail(Code::kInvalidArgument, "bad_page", "after must be the id of the last item", "page.after");
    out.after = *after;
  }
  return out;
}

Result<UsageEvent> read_event(const v1::UsageEvent& event, std::size_t index) {
  UsageEvent out;
  out.sequence = event.sequence();
  TG_ASSIGN(out.request, read_id<RequestId>(event.request_id(), index, "request_id"));
  TG_ASSIGN(out.tenant, read_id<TenantId>(event.tenant_id(), index, "tenant_id"));
  TG_ASSIGN(out.project, read_id<ProjectId>(event.project_id(), index, "project_id"));
  TG_ASSIGN(out.key, read_id<ApiKeyId>(event.key_id(), index, "key_id"));
  TG_ASSIGN(out.wallet, read_id<WalletId>(event.wallet_id(), index, "wallet_id"));
  if (!event.lease_id().empty()) {
    TG_ASSIGN(out.lease, read_id<LeaseId>(event.lease_id(), index, "lease_id"));
  }
  const auto status = read_status(event.status());
  if (!status) {
    return fail(Code::kInvalidArgument, "bad_event", "status is missing", fmt::format("events[{}].status", index));
  }
  out.model = event.model();
  out.variant = event.variant();
  out.region = event.region();
  out.pool = event.pool();
  out.worker_id = event.worker_id();
  out.weights_digest = event.weights_digest();
  out.status = *status;
  out.finish_reason = event.finish_reason();
  out.instants = {wall_from_unix_micros(event.admitted_us()), wall_from_unix_micros(event.started_us()),
                  wall_from_unix_micros(event.completed_us()), std::chrono::microseconds(event.clock_error_us())};
  out.prompt_tokens = event.prompt_tokens();
  out.cached_tokens = event.cached_tokens();
  out.completion_tokens = event.completion_tokens();
  out.reasoning_tokens = event.reasoning_tokens();
  out.price_version = event.price_version();
  out.band = event.band();
  TG_ASSIGN(out.amount, read_amount(event.amount(), fmt::format("events[{}].amount", index)));
  out.is_stream = event.is_stream();
  out.surface = event.surface();
  for (const std::string& raw : event.cap_lease_ids()) {
    TG_ASSIGN(const auto lease, read_id<LeaseId>(raw, index, "cap_lease_ids"));
    out.cap_leases.push_back(lease);
  }
  out.payload_sha256 = payload_sha256(event);
  return out;
}

namespace {

Result<EventReceipt> read_receipt(const v1::UsageEvent& event, const v1::UsageBatch& batch, std::size_t index) {
  const auto receipt = receipt_of(event, batch.gateway_id(), batch.epoch());
  constexpr std::size_t kKeyIdBytes = 16;
  const v1::ReceiptPart& part = event.receipt();
  const bool is_sized = part.key_id().size() == kKeyIdBytes && receipt::is_signature(part.signature());
  if (!receipt || !is_sized) {
    return fail(Code::kInvalidArgument, "bad_receipt",
                receipt ? std::string("a key id has 16 characters, a signature 64 bytes or a place in a group") : receipt.error().message,
                fmt::format("events[{}].receipt", index));
  }
  return EventReceipt{receipt::encode_body(*receipt), receipt->previous, part.key_id(), part.signature()};
}

}  // namespace

Result<UsageBatch> read_batch(const v1::UsageBatch& batch) {
  UsageBatch out{batch.gateway_id(), static_cast<std::int64_t>(batch.epoch()), {}};
  for (int i = 0; i < batch.events_size(); ++i) {
    TG_ASSIGN(auto event, read_event(batch.events(i), static_cast<std::size_t>(i)));
    if (batch.events(i).has_receipt()) {
      TG_ASSIGN(event.receipt, read_receipt(batch.events(i), batch, static_cast<std::size_t>(i)));
    }
    out.events.push_back(std::move(event));
  }
  return out;
}

}  // namespace tidegate::billing

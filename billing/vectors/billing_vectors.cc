#include "billing/vectors/billing_vectors.h"

#include <fmt/format.h>

#include <memory>
#include <set>

#include "billing/core/posting.h"

namespace tidegate::billing {

namespace {

using price::differs;
using price::join;
using price::Verdict;

Result<std::vector<QuantityTier>> read_tiers(const json::object& vector) {
  TG_ASSIGN(const auto* list, json::get_array(vector, "tiers"));
  std::vector<QuantityRange> ranges;
  for (const auto& item : *list) {
    if (!item.is_array() || item.as_array().size() != 3)
      return fail(Code::kInvalidArgument, "wrong_type", "a tier is [from, to, price]", "tiers");
    const auto& from = item.as_array();
    json::object fields;
    fields["from"] = from[0];
    if (!from[1].is_null()) fields["to"] = from[1];
    fields["price"] = from[2];
    QuantityRange range;
    TG_ASSIGN(range.from, price::read_count(fields, "from"));
    if (fields.contains("to")) {
      TG_ASSIGN(range.to, price::read_count(fields, "to"));
    }
    TG_ASSIGN(const auto text, json::get_string(fields, "price"));
    TG_ASSIGN(range.rate, Rate::parse(text));
    ranges.push_back(range);
  }
  return tiers_of_ranges(ranges);
}

Verdict run_tier(const json::object& vector, std::vector<QuantityTier>& stated, BillingVectorSubject& subject) {
  if (vector.contains("tiers")) {
    TG_ASSIGN(stated, read_tiers(vector));
  }
  TG_ASSIGN(const auto kind, json::get_string(vector, "model"));
  TG_ASSIGN(const auto prior, price::read_count(vector, "prior_quantity"));
  TG_ASSIGN(const auto quantity, price::read_count(vector, "quantity"));
  TG_ASSIGN(const auto* expect, json::get_object(vector, "expect"));
  AllowancePlan plan;
  plan.name = "vector";
  plan.currency = "USD";
  plan.meters = {price::Meter::kOutput};
  plan.tiers = stated;
  const auto parsed = parse_allowance_kind(kind);
  if (!parsed) return "unknown kind of tiers " + kind;
  plan.kind = *parsed;
  if (const auto status = check_allowance(plan); !status) return "refused: " + status.error().to_string();
  // The gateway charges the list price, that of the first tier; billing gives the rest back.
  price::RatedRequest rated;
  price::RatedLine& line = rated.lines[static_cast<std::size_t>(price::Meter::kOutput)];
  line = {price::Meter::kOutput, quantity, plan.tiers.front().rate, plan.tiers.front().rate.amount(quantity)};
  rated.total = line.amount;
  return price::compare_total(rated.total - subject.allowance(plan, prior, rated).amount, *expect);
}

Result<GrantState> read_grant(const json::object& from) {
  GrantState grant;
  TG_ASSIGN(grant.id, json::get_string(from, "id"));
  TG_ASSIGN(grant.left, price::read_money(from, "amount"));
  TG_ASSIGN(grant.priority, price::read_count(from, "priority"));
  TG_ASSIGN(grant.expires_at, price::read_instant(from, "expires_at"));
  if (!from.contains("models")) return grant;
  TG_ASSIGN(const auto* models, json::get_array(from, "models"));
  for (const auto& model : *models) {
    if (model.is_string()) grant.models.emplace_back(model.as_string());
  }
  return grant;
}

Verdict run_grant(const json::object& vector, BillingVectorSubject& subject) {
  TG_ASSIGN(const auto* list, json::get_array(vector, "grants"));
  std::vector<GrantState> grants;
  for (const auto& item : *list) {
    if (!item.is_object()) return "unreadable grant";
    TG_ASSIGN(auto grant, read_grant(item.as_object()));
    grants.push_back(std::move(grant));
  }
  TG_ASSIGN(const auto charge, price::read_money(vector, "charge"));
  TG_ASSIGN(const auto instant, price::read_instant(vector, "at"));
  TG_ASSIGN(const auto model, json::get_string(vector, "model"));
  TG_ASSIGN(const auto* expect, json::get_object(vector, "expect"));
  TG_ASSIGN(const auto* allocation, json::get_array(*expect, "allocation"));
  const BurnDown burn = subject.burn(std::move(grants), charge, instant, model);
  json::array actual;
  for (const auto& use : burn.uses)
    actual.push_back(json::array{json::value(use.id), json::value(use.amount.to_string())});
  if (!burn.paid.is_zero()) actual.push_back(json::array{json::value("PAID"), json::value(burn.paid.to_string())});
  return differs("allocation", json::serialize(actual), json::serialize(*allocation));
}

/// Gateways that draw leases until the wallet refuses.
Verdict run_lease(const json::object& vector, BillingVectorSubject& subject) {
  TG_ASSIGN(const auto wallet, price::read_money(vector, "wallet"));
  TG_ASSIGN(const auto amount, price::read_money(vector, "lease"));
  TG_ASSIGN(const auto gateways, price::read_count(vector, "gateways"));
  TG_ASSIGN(const auto* expect, json::get_object(vector, "expect"));
  Money available = wallet;
  Money stranded;
  Money largest;
  for (std::int64_t i = 0; i < gateways; ++i) {
    TG_ASSIGN(const auto granted, subject.lease({available, amount, amount, gateways}));
    available -= granted;
    stranded += granted;
    largest = std::max(largest, granted);
  }
  int more = 0;
  for (auto granted = subject.lease({available, amount, amount, gateways}); granted && more < 100; ++more) {
    available -= *granted;
    granted = subject.lease({available, amount, amount, gateways});
  }
  const Money overspent = available.is_negative() ? -available : Money();
  std::string diff;
  for (const auto& [key, is] : {std::pair("max_overspend", overspent),
                                {"max_stranded", stranded},
                                {"max_unbilled_if_one_disk_is_destroyed", largest}}) {
    TG_ASSIGN(const auto expected, price::read_money(*expect, key));
    diff = join(diff, differs(key, is.to_string(), expected.to_string()));
  }
  return diff;
}

/// One event, again and again: in its own epoch the sequence tells, in the next life of the gateway the request id.
Verdict run_dedupe(const json::object& vector, BillingVectorSubject& subject) {
  TG_ASSIGN(const auto deliveries, price::read_count(vector, "deliveries"));
  TG_ASSIGN(const auto* expect, json::get_object(vector, "expect"));
  UsageEvent event;
  event.sequence = 1;
  event.completion_tokens = 1;
  price::RatedRequest rated;
  rated.total = rated.lines[2].amount = Money::from_pico(1);
  rated.lines[2].quantity = 1;
  std::set<RequestId> known;
  std::int64_t lines = 0;
  std::int64_t postings = 0;
  std::uint64_t applied_through = 0;
  for (std::int64_t i = 0; i < deliveries; ++i) {
    if (i + 1 == deliveries) applied_through = 0;  // a new epoch, which has applied nothing
    TG_ASSIGN(const auto split, subject.split({event.sequence}, applied_through));
    applied_through = event.sequence;
    if (split.applied == 1 || !known.insert(event.request).second) continue;
    lines += static_cast<std::int64_t>(rated.lines.size());
    for (const auto& [wallet, posting] : effects_of({{&event, rated, "USD"}}).wallets)
      postings += usage_entries(posting).empty() ? 0 : 1;
  }
  std::string diff;
  for (const auto& [key, is] : {std::pair("usage_events", static_cast<std::int64_t>(known.size())),
                                {"rated_lines", lines},
                                {"ledger_postings", postings}}) {
    TG_ASSIGN(const auto expected, price::read_count(*expect, key));
    diff = join(diff, differs(key, std::to_string(is), std::to_string(expected)));
  }
  return diff;
}

Verdict run_late(const json::object& vector, price::VectorSubject& rater, BillingVectorSubject& subject) {
  TG_ASSIGN(const auto model, json::get_string(vector, "model"));
  TG_ASSIGN(const auto currency, json::get_string(vector, "currency"));
  TG_ASSIGN(const auto zone, json::get_string(vector, "billing_tz"));
  TG_ASSIGN(const auto completed, price::read_instant(vector, "completed_at"));
  TG_ASSIGN(const auto received, price::read_instant(vector, "received_at"));
  TG_ASSIGN(const auto tokens, price::read_tokens(vector));
  TG_ASSIGN(const auto* expect, json::get_object(vector, "expect"));
  const auto rated =
      rater.rate({model, currency, "", ""}, price::Basis::kCompletedAt, price::Instants::all_at(completed), tokens);
  if (!rated) return "refused: " + rated.error().to_string();
  TG_ASSIGN(const auto period, subject.period(zone, completed, received));
  const std::pair<const char*, std::string> actual[] = {
      {"price_book", rated->book},
      {"schedule", rated->band},
      {"amount", rated->total.to_string()},
      {"billing_period_charged", period.month},
      {"FOCUS_ChargeClass", period.is_correction ? "Correction" : ""}};
  std::string diff;
  for (const auto& [key, is] : actual) {
    TG_ASSIGN(const auto expected, json::get_string(*expect, key));
    diff = join(diff, differs(key, is, expected));
  }
  TG_ASSIGN(const auto hour, price::read_instant(*expect, "FOCUS_ChargePeriodStart"));
  return join(diff, differs("FOCUS_ChargePeriodStart", format_rfc3339(period.hour), format_rfc3339(hour)));
}

Verdict run_rerate(const json::object& vector, BillingVectorSubject& subject) {
  TG_ASSIGN(const auto original, price::read_money(vector, "original"));
  TG_ASSIGN(const auto corrected, price::read_money(vector, "corrected"));
  TG_ASSIGN(const auto* expect, json::get_object(vector, "expect"));
  TG_ASSIGN(const auto* postings, json::get_array(*expect, "postings"));
  TG_ASSIGN(const auto net, price::read_money(*expect, "net"));
  TG_ASSIGN(const auto kept, price::read_count(*expect, "rows_kept"));
  json::array actual;
  Money sum;
  for (const auto& amount : subject.rerating(original, corrected)) {
    actual.emplace_back(amount.to_string());
    sum += amount;
  }
  std::string diff = differs("postings", json::serialize(actual), json::serialize(*postings));
  diff = join(diff, differs("net", sum.to_string(), net.to_string()));
  return join(diff, differs("rows_kept", std::to_string(1 + actual.size()), std::to_string(kept)));
}

}  // namespace

price::ForeignKind billing_kinds(BillingVectorSubject& subject) {
  // shared_ptr: std::function copies what it holds, and the tiers stated last are one memory.
  auto stated = std::make_shared<std::vector<QuantityTier>>();
  return [&subject, stated](std::string_view kind, const json::object& vector,
                            price::VectorSubject& rater) -> std::optional<Verdict> {
    if (kind == "tier") return run_tier(vector, *stated, subject);
    if (kind == "grant") return run_grant(vector, subject);
    if (kind == "hold") return run_lease(vector, subject);
    if (kind == "dedupe") return run_dedupe(vector, subject);
    if (kind == "late") return run_late(vector, rater, subject);
    if (kind == "rerate") return run_rerate(vector, subject);
    return std::nullopt;
  };
}

Result<price::VectorReport> run_every_vector(std::string_view file_text) {
  BillingVectorSubject subject;
  const auto rater = price::product_subject();
  return price::run_vectors(file_text, *rater, billing_kinds(subject));
}

}  // namespace tidegate::billing

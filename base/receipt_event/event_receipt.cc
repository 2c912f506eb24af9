#include "base/receipt_event/event_receipt.h"

#include <cstring>

namespace tidegate {
namespace {

receipt::ReceiptStatus status_of(v1::UsageStatus status) {
  switch (status) {
    case v1::USAGE_STATUS_COMPLETED:
      return receipt::ReceiptStatus::kCompleted;
    case v1::USAGE_STATUS_CANCELLED:
      return receipt::ReceiptStatus::kCancelled;
    case v1::USAGE_STATUS_INTERRUPTED:
      return receipt::ReceiptStatus::kInterrupted;
    default:
      return receipt::ReceiptStatus::kFailed;
  }
}

receipt::PriceBasis basis_of(v1::PriceBasis basis) {
  switch (basis) {
    case v1::PRICE_BASIS_ADMITTED_AT:
      return receipt::PriceBasis::kAdmittedAt;
    case v1::PRICE_BASIS_STARTED_AT:
      return receipt::PriceBasis::kStartedAt;
    default:
      return receipt::PriceBasis::kCompletedAt;
  }
}

Result<receipt::Line> line_of(const v1::ReceiptPart::Line& from) {
  receipt::Line line;
  line.meter = from.meter();
  line.quantity = from.quantity();
  line.rate = Rate::from_micro_per_million(from.micro_per_million());
  line.terms = from.terms();
  TG_ASSIGN(line.amount, Money::parse(from.amount()));
  return line;
}

Result<receipt::Receipt> read(const v1::UsageEvent& event) {
  const v1::ReceiptPart& part = event.receipt();
  receipt::Receipt r;
  if (!part.previous().empty()) {
    if (part.previous().size() != r.previous.size()) {
      return fail(Code::kInvalidArgument, "bad_receipt", "a link has 32 bytes", "receipt.previous");
    }
    std::memcpy(r.previous.data(), part.previous().data(), r.previous.size());
  }
  TG_ASSIGN(r.request, RequestId::from_bytes(event.request_id()));
  TG_ASSIGN(r.tenant, TenantId::from_bytes(event.tenant_id()));
  TG_ASSIGN(r.project, ProjectId::from_bytes(event.project_id()));
  if (static_cast<std::size_t>(part.lines_size()) > receipt::kLinesMax) {
    return fail(Code::kInvalidArgument, "bad_receipt", "too many lines", "receipt.lines");
  }
  for (const auto& wire : part.lines()) {
    TG_ASSIGN(auto line, line_of(wire));
    r.lines.push_back(std::move(line));
  }
  TG_ASSIGN(r.amount, Money::parse(event.amount()));
  return r;
}

}  // namespace

Result<receipt::Receipt> receipt_of(const v1::UsageEvent& event, const std::string& gateway_id, std::uint64_t epoch) {
  TG_ASSIGN(receipt::Receipt r, read(event));
  const v1::ReceiptPart& part = event.receipt();
  r.sequence = event.sequence();
  r.gateway_id = gateway_id;
  r.epoch = epoch;
  r.deployment = part.deployment();
  r.caller = part.caller();
  r.model = event.model();
  r.variant = event.variant();
  r.weights_digest = event.weights_digest();
  r.region = event.region();
  r.pool = event.pool();
  r.status = status_of(event.status());
  r.finish_reason = event.finish_reason();
  r.prompt_tokens = event.prompt_tokens();
  r.cached_tokens = event.cached_tokens();
  r.completion_tokens = event.completion_tokens();
  r.reasoning_tokens = event.reasoning_tokens();
  r.admitted_us = event.admitted_us();
  r.started_us = event.started_us();
  r.completed_us = event.completed_us();
  r.basis = basis_of(part.basis());
  r.priced_us = part.priced_us();
  r.price_book = part.price_book();
  r.price_version = event.price_version();
  r.band = event.band();
  r.currency = part.currency();
  return r;
}

}  // namespace tidegate

#include "base/receipt/receipt.h"

#include <fmt/format.h>

#include <cstring>

#include "base/core/check.h"
#include "base/receipt/fields.h"

namespace tidegate::receipt {
namespace {

// The two fields that are known last stand first, where their place does not depend on any other.
constexpr std::size_t kSequenceAt = kMagic.size() + kLengthBytes;
constexpr std::size_t kPreviousAt = kSequenceAt + sizeof(std::uint64_t) + kLengthBytes;

void write(FieldWriter& out, const Line& line) {
  out.text(line.meter);
  out.i64(line.quantity);
  out.i64(line.rate.micro_per_million());
  out.text(line.terms);
  out.money(line.amount);
}

Line read_line(FieldReader& in) {
  Line line;
  line.meter = in.text("lines.meter");
  line.quantity = in.i64("lines.quantity");
  line.rate = Rate::from_micro_per_million(in.i64("lines.rate"));
  line.terms = in.text("lines.terms");
  line.amount = in.money("lines.amount");
  return line;
}

template <typename Enum>
Enum read_enum(FieldReader& in, std::string_view name, Enum last) {
  const std::uint8_t value = in.u8(name);
  if (value < 1 || value > static_cast<std::uint8_t>(last)) in.refuse(name, fmt::format("{} has no meaning", value));
  return static_cast<Enum>(value);
}

}  // namespace

std::string_view name_of(ReceiptStatus status) {
  switch (status) {
    case ReceiptStatus::kCompleted:
      return "completed";
    case ReceiptStatus::kCancelled:
      return "cancelled";
    case ReceiptStatus::kInterrupted:
      return "interrupted";
    case ReceiptStatus::kFailed:
      return "failed";
  }
  return "";
}

std::string_view name_of(PriceBasis basis) {
  switch (basis) {
    case PriceBasis::kCompletedAt:
      return "completed_at";
    case PriceBasis::kAdmittedAt:
      return "admitted_at";
    case PriceBasis::kStartedAt:
      return "started_at";
  }
  return "";
}

std::string encode_body(const Receipt& r) {
  TG_CHECK(r.lines.size() <= kLinesMax);
  FieldWriter out(kMagic);
  out.u64(r.sequence);
  out.bytes(as_view(r.previous));
  out.text(r.gateway_id);
  out.u64(r.epoch);
  out.text(r.deployment);
  out.bytes(r.request.raw());
  out.bytes(r.tenant.raw());
  out.bytes(r.project.raw());
  out.text(r.caller);
  out.text(r.model);
  out.text(r.variant);
  out.text(r.weights_digest);
  out.text(r.region);
  out.text(r.pool);
  out.u8(static_cast<std::uint8_t>(r.status));
  out.text(r.finish_reason);
  out.i64(r.prompt_tokens);
  out.i64(r.cached_tokens);
  out.i64(r.completion_tokens);
  out.i64(r.reasoning_tokens);
  out.i64(r.admitted_us);
  out.i64(r.started_us);
  out.i64(r.completed_us);
  out.u8(static_cast<std::uint8_t>(r.basis));
  out.i64(r.priced_us);
  out.text(r.price_book);
  out.i64(r.price_version);
  out.text(r.band);
  out.text(r.currency);
  out.u8(static_cast<std::uint8_t>(r.lines.size()));
  for (const Line& line : r.lines) write(out, line);
  out.money(r.amount);
  return out.take();
}

Result<Receipt> decode_body(std::string_view body) {
  FieldReader in(body, kMagic);
  Receipt r;
  r.sequence = in.u64("sequence");
  if (const auto previous = in.exactly("previous", r.previous.size()); !previous.empty()) {
    std::memcpy(r.previous.data(), previous.data(), r.previous.size());
  }
  r.gateway_id = in.text("gateway_id");
  r.epoch = in.u64("epoch");
  r.deployment = in.text("deployment");
  r.request = RequestId{in.uuid("request_id")};
  r.tenant = TenantId{in.uuid("tenant_id")};
  r.project = ProjectId{in.uuid("project_id")};
  r.caller = in.text("caller");
  r.model = in.text("model");
  r.variant = in.text("variant");
  r.weights_digest = in.text("weights_digest");
  r.region = in.text("region");
  r.pool = in.text("pool");
  r.status = read_enum(in, "status", ReceiptStatus::kFailed);
  r.finish_reason = in.text("finish_reason");
  r.prompt_tokens = in.i64("prompt_tokens");
  r.cached_tokens = in.i64("cached_tokens");
  r.completion_tokens = in.i64("completion_tokens");
  r.reasoning_tokens = in.i64("reasoning_tokens");
  r.admitted_us = in.i64("admitted_us");
  r.started_us = in.i64("started_us");
  r.completed_us = in.i64("completed_us");
  r.basis = read_enum(in, "basis", PriceBasis::kStartedAt);
  r.priced_us = in.i64("priced_us");
  r.price_book = in.text("price_book");
  r.price_version = in.i64("price_version");
  r.band = in.text("band");
  r.currency = in.text("currency");
  const std::size_t lines = in.u8("lines");
  if (lines > kLinesMax) in.refuse("lines", fmt::format("{} is more than {}", lines, kLinesMax));
  for (std::size_t i = 0; i < lines && in.is_sound(); ++i) r.lines.push_back(read_line(in));
  r.amount = in.money("amount");
  TG_TRY(in.end());
  return r;
}

void set_position(std::string& body, std::uint64_t sequence, const Digest& previous) {
  TG_CHECK(body.size() >= kPreviousAt + previous.size());
  for (std::size_t i = 0; i < sizeof(sequence); ++i) {
    body[kSequenceAt + i] = static_cast<char>(sequence >> 8 * (sizeof(sequence) - 1 - i) & 255);
  }
  std::memcpy(body.data() + kPreviousAt, previous.data(), previous.size());
}

Digest link_of(std::string_view body) { return sha256(body); }

Result<SignedReceipt> decode_signed(std::string_view bytes) {
  SignedReceipt out;
  TG_ASSIGN(out.envelope, open_envelope(bytes));
  TG_ASSIGN(out.receipt, decode_body(out.envelope.body));
  return out;
}

}  // namespace tidegate::receipt

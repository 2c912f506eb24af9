#include "gateway/adapters/guard_codec.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace tidegate::gateway {
namespace {

constexpr int kTextsMax = static_cast<int>(GuardLimits::kTextsMax);

v1::GuardAction encode_action(GuardAction action) {
  switch (action) {
    case GuardAction::kLog:
      return v1::GUARD_ACTION_LOG;
    case GuardAction::kMask:
      return v1::GUARD_ACTION_MASK;
    case GuardAction::kDeny:
      return v1::GUARD_ACTION_DENY;
  }
  return v1::GUARD_ACTION_LOG;
}

GuardAction decode_action(v1::GuardAction action) {
  if (action == v1::GUARD_ACTION_DENY) return GuardAction::kDeny;
  return action == v1::GUARD_ACTION_MASK ? GuardAction::kMask : GuardAction::kLog;
}

/// A name that another process chose, for logs and clients: one that is no name could be a text.
std::string plain_name(const std::string& name) {
  const bool is_plain = std::ranges::all_of(
      name, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'; });
  if (!is_plain || name.empty() || name.size() > GuardLimits::kRuleNameBytesMax) return "other";
  return name;
}

template <typename OneId>
Status read_id(const std::string& raw, const char* field, OneId& out) {
  auto id = OneId::from_bytes(raw);
  if (!id) return fail(Code::kInvalidArgument, "invalid_value", fmt::format("'{}' must be 16 bytes", field), field);
  out = *id;
  return {};
}

std::unexpected<Error> bad_verdict(const char* what) {
  return fail(Code::kInternal, "bad_verdict", fmt::format("The guard's verdict is broken: {}.", what));
}

}  // namespace

v1::GuardRequest encode_check(const GuardCheck& check) {
  v1::GuardRequest request;
  request.set_direction(check.direction == GuardDirection::kInput ? v1::GUARD_DIRECTION_INPUT
                                                                  : v1::GUARD_DIRECTION_OUTPUT);
  request.set_request_id(std::string(check.subject.request.raw()));
  request.set_tenant_id(std::string(check.subject.tenant.raw()));
  request.set_tenant(check.subject.tenant_name);
  request.set_project_id(std::string(check.subject.project.raw()));
  request.set_model(check.subject.model);
  request.set_window_bytes(static_cast<std::uint32_t>(check.window_bytes));
  for (const GuardText& text : check.texts) {
    v1::GuardText* out = request.add_texts();
    out->set_role(std::string(text.role));
    out->set_context(std::string(text.context()));
    out->set_piece(std::string(text.piece()));
    out->set_is_last(text.is_last);
  }
  return request;
}

Status decode_check(const v1::GuardRequest& request, DecodedCheck& out) {
  switch (request.direction()) {
    case v1::GUARD_DIRECTION_INPUT:
      out.direction = GuardDirection::kInput;
      break;
    case v1::GUARD_DIRECTION_OUTPUT:
      out.direction = GuardDirection::kOutput;
      break;
    default:
      return fail(Code::kInvalidArgument, "invalid_value", "'direction' must be input or output", "direction");
  }
  if (request.texts_size() > kTextsMax) {
    return fail(Code::kInvalidArgument, "invalid_value",
                fmt::format("'texts' has {} texts; send at most {}", request.texts_size(), kTextsMax), "texts");
  }
  TG_TRY(read_id(request.request_id(), "request_id", out.subject.request));
  TG_TRY(read_id(request.tenant_id(), "tenant_id", out.subject.tenant));
  TG_TRY(read_id(request.project_id(), "project_id", out.subject.project));
  out.subject.tenant_name = request.tenant();
  out.subject.model = request.model();
  for (const v1::GuardText& text : request.texts()) {
    out.roles.push_back(text.role());
    out.joined.push_back(text.context() + text.piece());
  }
  // Views last: strings move while their vectors grow.
  for (std::size_t i = 0; i < out.joined.size(); ++i) {
    const v1::GuardText& from = request.texts(static_cast<int>(i));
    GuardText text;
    text.role = out.roles[i];
    text.all = out.joined[i];
    text.origin = from.context().size();
    text.is_last = from.is_last();
    out.texts.push_back(text);
  }
  return {};
}

v1::GuardVerdict encode_verdict(const GuardVerdict& verdict) {
  v1::GuardVerdict out;
  out.set_action(verdict.denial          ? v1::GUARD_ACTION_DENY
                 : verdict.spans.empty() ? v1::GUARD_ACTION_PASS
                                         : v1::GUARD_ACTION_MASK);
  for (const GuardSpan& span : verdict.spans) {
    v1::GuardSpan* to = out.add_spans();
    to->set_text(static_cast<std::uint32_t>(span.text));
    to->set_begin(static_cast<std::uint32_t>(span.begin));
    to->set_end(static_cast<std::uint32_t>(span.end));
    to->set_replacement(span.replacement);
  }
  for (const std::size_t decided : verdict.decided) out.add_decided(static_cast<std::uint32_t>(decided));
  if (verdict.denial) {
    v1::GuardDenial* denial = out.mutable_denial();
    denial->set_reason("content_policy");
    denial->set_category(verdict.denial->category);
    denial->set_message(verdict.denial->message);
    denial->set_text(static_cast<std::uint32_t>(verdict.denial->text));
  }
  for (const GuardHit& hit : verdict.hits) {
    v1::GuardHit* to = out.add_hits();
    to->set_rule(hit.rule);
    to->set_action(encode_action(hit.action));
  }
  return out;
}

Result<GuardVerdict> decode_verdict(const v1::GuardVerdict& verdict, const GuardCheck& check) {
  GuardVerdict out;
  // An action that this build does not know may mean anything.
  const bool is_denied = verdict.action() == v1::GUARD_ACTION_DENY;
  if (!is_denied && verdict.action() != v1::GUARD_ACTION_PASS && verdict.action() != v1::GUARD_ACTION_MASK) {
    return bad_verdict("its action is none of PASS, MASK and DENY");
  }
  if (verdict.action() == v1::GUARD_ACTION_PASS && verdict.spans_size() > 0) return bad_verdict("PASS has no spans");
  for (const v1::GuardSpan& span : verdict.spans()) {
    out.spans.push_back({span.text(), span.begin(), span.end(), span.replacement()});
  }
  for (const std::uint32_t decided : verdict.decided()) out.decided.push_back(decided);
  if (is_denied) {
    const v1::GuardDenial& denial = verdict.denial();
    GuardDenial taken;
    taken.category = plain_name(denial.category());
    if (denial.message().size() <= GuardLimits::kMessageBytesMax) taken.message = denial.message();
    taken.text = denial.text();
    out.denial = std::move(taken);
    if (out.decided.empty()) out.decided.assign(check.texts.size(), 0);
  } else if (out.decided.empty()) {
    out.decided = pass_verdict(check).decided;
  }
  for (const v1::GuardHit& hit : verdict.hits()) {
    if (out.hits.size() >= GuardLimits::kHitsMax) break;
    out.hits.push_back({plain_name(hit.rule()), decode_action(hit.action())});
  }
  return out;
}

}  // namespace tidegate::gateway

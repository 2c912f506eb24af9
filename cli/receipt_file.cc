#include "cli/receipt_file.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/core/encoding.h"
#include "base/json/json.h"
#include "base/receipt/merkle.h"

namespace tidegate::cli {
namespace {

constexpr std::string_view kHeader = "x-tidegate-receipt";
constexpr std::string_view kData = "data:";
constexpr std::string_view kPemBegin = "-----BEGIN PUBLIC KEY-----";
constexpr std::string_view kPemEnd = "-----END PUBLIC KEY-----";
constexpr std::string_view kBlank = " \t\r";

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(kBlank);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const auto end = text.find('\n');
    lines.push_back(trim(text.substr(0, end)));
    text = end == text.npos ? std::string_view() : text.substr(end + 1);
  }
  return lines;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return out;
}

Result<receipt::SignedReceipt> receipt_from_text(std::string_view text) {
  const auto bytes = base64url_decode(text);
  if (!bytes)
    return fail(Code::kInvalidArgument, "bad_receipt", "it is not base64url text (RFC 4648, without padding)");
  return receipt::decode_signed(*bytes);
}

Result<Digest> digest_from_hex(const std::string& text) {
  Digest digest;
  const auto raw = hex_decode(text);
  if (!raw || raw->size() != digest.size()) {
    return fail(Code::kInvalidArgument, "bad_proof", fmt::format("'{}' is not a SHA-256 in hexadecimal", text));
  }
  std::ranges::copy(*raw, digest.begin());
  return digest;
}

Result<DayProof> proof_from_json(const json::object& from) {
  DayProof proof;
  TG_ASSIGN(const auto link, json::get_string(from, "link"));
  TG_ASSIGN(proof.link, digest_from_hex(link));
  TG_ASSIGN(const auto index, json::get_int(from, "index"));
  if (index < 0) return fail(Code::kInvalidArgument, "bad_proof", "index must not be negative", "index");
  proof.index = static_cast<std::uint64_t>(index);
  TG_ASSIGN(const json::array* path, json::get_array(from, "path"));
  for (const auto& node : *path) {
    if (!node.is_string()) return fail(Code::kInvalidArgument, "bad_proof", "path must hold strings", "path");
    TG_ASSIGN(const Digest digest, digest_from_hex(std::string(node.get_string())));
    proof.path.push_back(digest);
  }
  TG_ASSIGN(const auto checkpoint, json::get_string(from, "checkpoint"));
  const auto bytes = base64url_decode(checkpoint);
  if (!bytes) return fail(Code::kInvalidArgument, "bad_proof", "checkpoint is not base64url text", "checkpoint");
  TG_ASSIGN(proof.checkpoint, receipt::decode_checkpoint(*bytes));
  return proof;
}

std::optional<FoundReceipt> from_object(std::string_view text, std::string where) {
  const auto refused = [&where](Error error) {
    return FoundReceipt{std::move(where), std::unexpected(std::move(error)), std::nullopt};
  };
  const auto document = json::parse(text);
  if (!document) return refused(document.error());
  if (!document->is_object())
    return refused(Error(Code::kInvalidArgument, "bad_receipt", "it is JSON, but not an object"));
  const json::object& object = document->get_object();
  const auto receipt = json::find_string(object, "receipt");
  if (!receipt) return refused(receipt.error());
  if (!*receipt) return std::nullopt;
  FoundReceipt found{std::move(where), receipt_from_text(**receipt), std::nullopt};
  if (const auto* proof = object.if_contains("proof"); proof != nullptr && proof->is_object()) {
    auto read = proof_from_json(proof->get_object());
    if (read) {
      found.proof = *std::move(read);
    } else {
      found.receipt = std::unexpected(std::move(read).error());
    }
  }
  return found;
}

Status read_published(const json::object& document, const std::string& name, receipt::KeyRing& keys) {
  TG_ASSIGN(const json::array* list, json::get_array(document, "keys"));
  for (const auto& value : *list) {
    if (!value.is_object()) return fail(Code::kInvalidArgument, "bad_key", name + ": keys must hold objects", name);
    const json::object& from = value.get_object();
    TG_ASSIGN(const auto text, json::get_string(from, "public_key"));
    TG_ASSIGN(auto key, Ed25519PublicKey::from_raw(base64url_decode(text).value_or("")));
    receipt::PublishedKey published{std::move(key), "", 0, std::nullopt};
    TG_ASSIGN(const auto signer, json::find_string(from, "signer"));
    published.signer = signer.value_or("");
    TG_ASSIGN(const auto valid_from, json::find_int(from, "valid_from_us"));
    published.valid_from_us = valid_from.value_or(0);
    TG_ASSIGN(const auto valid_to, json::find_int(from, "valid_to_us"));
    if (valid_to.value_or(0) != 0) published.valid_to_us = *valid_to;
    const std::string id = published.key.id();
    keys.insert_or_assign(id, std::move(published));
  }
  return {};
}

std::string instant(std::int64_t micros) { return format_rfc3339(wall_from_unix_micros(micros)); }

}  // namespace

std::vector<FoundReceipt> read_receipts(std::string_view text, const std::string& name) {
  std::vector<FoundReceipt> found;
  std::size_t number = 0;
  for (std::string_view line : lines_of(text)) {
    const std::string where = fmt::format("{}:{}", name, ++number);
    if (line.starts_with(kData)) {
      line = trim(line.substr(kData.size()));
      if (!line.starts_with('{')) continue;
    }
    if (line.starts_with('{')) {
      if (auto one = from_object(line, where)) found.push_back(*std::move(one));
      continue;
    }
    std::string_view rest = line;
    while (!rest.empty() && (rest.front() == ':' || rest.front() == '<' || rest.front() == ' ')) rest.remove_prefix(1);
    if (lower(rest.substr(0, kHeader.size())) == kHeader) {
      rest.remove_prefix(kHeader.size());
      if (rest.starts_with(':')) rest.remove_prefix(1);
      found.push_back({where, receipt_from_text(trim(rest)), std::nullopt});
    } else if (!line.empty() && line.find_first_of(" :") == line.npos) {
      found.push_back({where, receipt_from_text(line), std::nullopt});
    }
  }
  return found;
}

Status read_keys(std::string_view text, const std::string& name, receipt::KeyRing& keys) {
  const std::string_view content = text.substr(std::min(text.size(), text.find_first_not_of(" \t\r\n")));
  if (content.starts_with('{')) {
    TG_ASSIGN(const auto document, json::parse(content));
    return read_published(document.get_object(), name, keys);
  }
  std::size_t blocks = 0;
  for (auto at = text.find(kPemBegin); at != text.npos; at = text.find(kPemBegin, at + 1)) {
    const auto end = text.find(kPemEnd, at);
    TG_ASSIGN(auto key,
              Ed25519PublicKey::from_pem(text.substr(at, end == text.npos ? end : end + kPemEnd.size() - at), name));
    const std::string id = key.id();
    keys.insert_or_assign(id, receipt::PublishedKey{std::move(key), "", 0, std::nullopt});
    ++blocks;
  }
  if (blocks > 0) return {};
  return fail(
      Code::kInvalidArgument, "bad_key",
      fmt::format("{} holds no PEM public key and no key list; get one with: tidegate receipt keys --json", name),
      name);
}

Result<std::vector<DayProof>> read_proofs(std::string_view text, const std::string& name) {
  std::vector<DayProof> proofs;
  std::size_t number = 0;
  for (const std::string_view line : lines_of(text)) {
    ++number;
    if (line.empty()) continue;
    const auto document = json::parse(line);
    if (!document || !document->is_object()) {
      return fail(Code::kInvalidArgument, "bad_proof", fmt::format("{}:{} is not a JSON object", name, number), name);
    }
    TG_ASSIGN(auto proof, proof_from_json(document->get_object()));
    proofs.push_back(std::move(proof));
  }
  return proofs;
}

Status verify_proof(const DayProof& proof, const receipt::SignedReceipt& receipt, const receipt::KeyRing& keys) {
  const receipt::SignedCheckpoint& signed_root = proof.checkpoint;
  const auto key = keys.find(signed_root.envelope.key_id);
  if (key == keys.end()) {
    return fail(Code::kNotFound, "unknown_key",
                fmt::format("the day's root names key {}, which was not given", signed_root.envelope.key_id));
  }
  TG_TRY(receipt::verify_signature(signed_root.envelope, key->second.key));
  if (!key->second.signer.empty() && key->second.signer != "billing") {
    return fail(Code::kFailedPrecondition, "wrong_signer", "the day's root was not signed by billing");
  }
  const receipt::Checkpoint& root = signed_root.checkpoint;
  const bool is_of_receipts = root.log.starts_with("receipts/") && root.deployment == receipt.receipt.deployment;
  const Digest link = receipt::link_of(receipt.envelope.body);
  if (!is_of_receipts || link != proof.link ||
      !merkle::verify_inclusion(merkle::leaf_hash(as_view(link)), proof.index, root.size, proof.path, root.root)) {
    return fail(Code::kDataLoss, "not_in_tree",
                fmt::format("the proof does not lead from this receipt to the root of {}", root.log));
  }
  return {};
}

std::string receipt_json(const receipt::SignedReceipt& signed_receipt) {
  const receipt::Receipt& r = signed_receipt.receipt;
  json::object out;
  out["request_id"] = r.request.to_string();
  out["deployment"] = r.deployment;
  out["gateway_id"] = r.gateway_id;
  out["epoch"] = r.epoch;
  out["sequence"] = r.sequence;
  out["previous"] = hex_encode(as_view(r.previous));
  out["link"] = hex_encode(as_view(receipt::link_of(signed_receipt.envelope.body)));
  out["key_id"] = signed_receipt.envelope.key_id;
  out["tenant_id"] = r.tenant.to_string();
  out["project_id"] = r.project.to_string();
  out["caller"] = r.caller;
  out["model"] = r.model;
  out["variant"] = r.variant;
  out["weights_digest"] = r.weights_digest;
  out["region"] = r.region;
  out["pool"] = r.pool;
  out["status"] = receipt::name_of(r.status);
  out["finish_reason"] = r.finish_reason;
  out["prompt_tokens"] = r.prompt_tokens;
  out["cached_tokens"] = r.cached_tokens;
  out["completion_tokens"] = r.completion_tokens;
  out["reasoning_tokens"] = r.reasoning_tokens;
  out["admitted_at"] = instant(r.admitted_us);
  out["started_at"] = instant(r.started_us);
  out["completed_at"] = instant(r.completed_us);
  out["basis"] = receipt::name_of(r.basis);
  out["priced_at"] = instant(r.priced_us);
  out["price_book"] = r.price_book;
  out["price_version"] = r.price_version;
  out["band"] = r.band;
  out["currency"] = r.currency;
  json::array lines;
  for (const receipt::Line& line : r.lines) {
    json::object each;
    each["meter"] = line.meter;
    each["quantity"] = line.quantity;
    each["rate_per_million"] = line.rate.to_string();
    if (!line.terms.empty()) each["terms"] = line.terms;
    each["amount"] = line.amount.to_string();
    lines.push_back(std::move(each));
  }
  out["lines"] = std::move(lines);
  out["amount"] = r.amount.to_string();
  return json::serialize(out);
}

std::string receipt_text(const receipt::SignedReceipt& signed_receipt) {
  const receipt::Receipt& r = signed_receipt.receipt;
  std::string out = fmt::format(
      "request     {}\nmodel       {} ({}), weights {}\nserved      {}, {}/{}, {} ({})\n"
      "who         tenant {}, project {}, key {}\nwhen        {} to {}\n"
      "priced      {} {}/{}, band {}, at {} ({})\n",
      r.request.to_string(), r.model, r.variant, r.weights_digest, r.deployment, r.region, r.pool,
      receipt::name_of(r.status), r.finish_reason, r.tenant.to_string(), r.project.to_string(), r.caller,
      instant(r.admitted_us), instant(r.completed_us), r.currency, r.price_book, r.price_version, r.band,
      instant(r.priced_us), receipt::name_of(r.basis));
  for (const receipt::Line& line : r.lines) {
    out += fmt::format("  {:<18} {:>12} tokens x {} per million{}{} = {}\n", line.meter, line.quantity,
                       line.rate.to_string(), line.terms.empty() ? "" : ", ", line.terms, line.amount.to_string());
  }
  out +=
      fmt::format("amount      {} {}\nplace       gateway {} epoch {} number {}\nlink        {}\nkey         {}\n",
                  r.amount.to_string(), r.currency, r.gateway_id, r.epoch, r.sequence,
                  hex_encode(as_view(receipt::link_of(signed_receipt.envelope.body))), signed_receipt.envelope.key_id);
  return out;
}

}  // namespace tidegate::cli

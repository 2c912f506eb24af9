#include "base/receipt/signature_runs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/core/check.h"
#include "base/receipt/group.h"

namespace tidegate::receipt {
namespace {

constexpr std::size_t kRunNumberBytes = 4;
constexpr std::size_t kRunHeadBytes = 4 * kRunNumberBytes;

std::unexpected<Error> damaged_runs(std::string_view what) {
  return fail(Code::kDataLoss, "receipt_damaged", std::string(what));
}

void put_u32(std::string& out, std::size_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 255);
}

std::size_t take_u32(std::string_view& in) {
  std::size_t value = 0;
  for (const char c : in.substr(0, kRunNumberBytes)) value = value << 8 | static_cast<std::uint8_t>(c);
  in.remove_prefix(kRunNumberBytes);
  return value;
}

merkle::Tree tree_of(std::span<const Digest> links) {
  std::vector<Digest> leaves;
  leaves.reserve(links.size());
  for (const Digest& link : links) leaves.push_back(group_leaf(link));
  return merkle::Tree(leaves);
}

/// The members of a group that begins here, when all are here and nothing is lost by leaving their paths out; else 0.
std::size_t whole_group(std::span<const Digest> links, std::span<const std::string_view> signatures,
                        const GroupPlace& first) {
  if (first.index != 0 || first.size > links.size()) return 0;
  for (std::uint32_t i = 0; i < first.size; ++i) {  // hashes only for what says that it is one
    const auto place = read_group_place(signatures[i]);
    if (!place || place->index != i || place->size != first.size || place->signature != first.signature) return 0;
  }
  const merkle::Tree tree = tree_of(links.first(first.size));
  for (std::uint32_t i = 0; i < first.size; ++i) {
    if (signatures[i] != write_group_place(first.signature, i, first.size, tree.proof(i))) return 0;
  }
  return first.size;
}

void put_run(SignatureRuns& out, std::size_t members, const GroupPlace& place, std::span<const Digest> path) {
  out.signatures += place.signature;
  put_u32(out.runs, members);
  put_u32(out.runs, place.index);
  put_u32(out.runs, place.size);
  put_u32(out.runs, path.size());
  for (const Digest& node : path) out.runs += as_view(node);
}

/// One run's signatures, appended to `out`.
Status load_run(std::string_view signature, std::string_view& runs, std::span<const Digest> links,
                std::vector<std::string>& out) {
  if (runs.size() < kRunHeadBytes) return damaged_runs("a run of signatures is cut");
  const std::size_t members = take_u32(runs);
  const std::size_t index = take_u32(runs);
  const std::size_t size = take_u32(runs);
  const std::size_t siblings = take_u32(runs);
  if (siblings > runs.size() / sizeof(Digest)) return damaged_runs("a path is cut");
  std::vector<Digest> path(siblings);
  for (Digest& node : path) {
    std::memcpy(node.data(), runs.data(), node.size());
    runs.remove_prefix(node.size());
  }
  const std::span<const Digest> rest = links.subspan(out.size());
  if (members == 0 || members > rest.size() || size == 0 || size > kGroupMax || index >= size) {
    return damaged_runs(fmt::format("a run of {} signatures in a group of {} where {} are due", members, size, rest.size()));
  }
  if (members == 1 && size == 1) {
    if (siblings != 0) return damaged_runs("a receipt signed alone has a path");
    out.emplace_back(signature);
    return {};
  }
  if (members == 1) {
    std::string one = write_group_place(signature, static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(size), path);
    if (!read_group_place(one)) return damaged_runs("a path does not fit its group");
    out.push_back(std::move(one));
    return {};
  }
  if (members != size || index != 0 || siblings != 0) return damaged_runs("a run is no whole group");
  const merkle::Tree tree = tree_of(rest.first(size));
  for (std::uint32_t i = 0; i < size; ++i) {
    out.push_back(write_group_place(signature, i, static_cast<std::uint32_t>(size), tree.proof(i)));
  }
  return {};
}

}  // namespace

SignatureRuns store_signatures(std::span<const Digest> links, std::span<const std::string_view> signatures) {
  TG_CHECK(links.size() == signatures.size());
  SignatureRuns out;
  bool has_groups = false;
  for (std::size_t i = 0; i < links.size();) {
    const auto place = read_group_place(signatures[i]);
    if (!place) {
      TG_CHECK(signatures[i].size() == kSignatureBytes);
      put_run(out, 1, GroupPlace{signatures[i], 0, 1, {}}, {});
      ++i;
      continue;
    }
    has_groups = true;
    const std::size_t members = whole_group(links.subspan(i), signatures.subspan(i), *place);
    if (members == 0) {
      put_run(out, 1, *place, place->path);
      ++i;
    } else {
      put_run(out, members, *place, {});
      i += members;
    }
  }
  if (!has_groups) out.runs.clear();
  return out;
}

Result<std::vector<std::string>> load_signatures(const SignatureRuns& stored, std::span<const Digest> links) {
  std::vector<std::string> out;
  out.reserve(links.size());
  std::string_view signatures = stored.signatures;
  std::string_view runs = stored.runs;
  const bool is_alone = runs.empty();
  while (out.size() < links.size() && signatures.size() >= kSignatureBytes) {
    const std::string_view signature = signatures.substr(0, kSignatureBytes);
    signatures.remove_prefix(kSignatureBytes);
    if (is_alone) {
      out.emplace_back(signature);
    } else {
      TG_TRY(load_run(signature, runs, links, out));
    }
  }
  if (out.size() != links.size() || !signatures.empty() || !runs.empty()) {
    return damaged_runs(fmt::format("{} receipts and {} bytes of signatures", links.size(), stored.signatures.size()));
  }
  return out;
}

}  // namespace tidegate::receipt

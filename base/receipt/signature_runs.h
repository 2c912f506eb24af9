#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/result.h"
#include "base/crypto/sha256.h"

/// The signatures of consecutive receipts as they are stored for ever. A group (group.h) of which all members are there is
/// one signature: the paths follow from the links.
///
///   signatures = 64 bytes a run, one behind the other
///   runs       = of each run: members u32 | index of the first u32 | size of the group u32 | siblings u32 | 32 bytes each
///
/// A run is a receipt signed alone (1 | 0 | 1 | 0), a whole group (size | 0 | size | 0), or one member of a group that is
/// not here as a whole, with its path. Where every receipt was signed alone `runs` is empty.
namespace tidegate::receipt {

struct SignatureRuns {
  std::string signatures;
  std::string runs;
  bool operator==(const SignatureRuns&) const = default;
};

/// One signature (group.h: is_signature) for each link. load_signatures() gives back these very bytes, also those of
/// paths that lead nowhere.
SignatureRuns store_signatures(std::span<const Digest> links, std::span<const std::string_view> signatures);
/// Fails: data_loss/receipt_damaged for what store_signatures() does not make of this many links.
Result<std::vector<std::string>> load_signatures(const SignatureRuns& stored, std::span<const Digest> links);

}  // namespace tidegate::receipt

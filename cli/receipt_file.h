#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/receipt/checkpoint.h"
#include "base/receipt/receipt_check.h"

/// Receipts, keys and proofs as people keep them in files. Pure: text in, values out.
namespace tidegate::cli {

/// That a receipt is in a day's signed tree.
struct DayProof {
  Digest link{};
  std::uint64_t index = 0;
  std::vector<Digest> path;
  receipt::SignedCheckpoint checkpoint;
};

struct FoundReceipt {
  std::string where;  ///< "receipts.jsonl:3"
  Result<receipt::SignedReceipt> receipt;
  std::optional<DayProof> proof;
};

/// One receipt a line, as any of: its base64url text; a JSON object with "receipt" (an export, a usage chunk,
/// with or without "data: " before it) and perhaps "proof"; a header or comment line "x-tidegate-receipt:
/// TEXT". Other lines of a saved answer are passed over, so a curl transcript can be given as it is. A line
/// that should hold a receipt and does not is reported, not passed over.
std::vector<FoundReceipt> read_receipts(std::string_view text, const std::string& name);

/// PEM public keys, one or many, or what GET /v1/receipts/keys answers. Adds to `keys`.
/// Fails: invalid_argument/bad_key naming the file.
Status read_keys(std::string_view text, const std::string& name, receipt::KeyRing& keys);

/// A proof per line, as `tidegate receipt prove` writes it. Fails: invalid_argument/bad_proof.
Result<std::vector<DayProof>> read_proofs(std::string_view text, const std::string& name);

/// Signature of the checkpoint, its log's name, and the path from the receipt's link to its root.
/// Fails: not_found/unknown_key, data_loss/bad_signature, data_loss/not_in_tree,
/// failed_precondition/wrong_signer.
Status verify_proof(const DayProof& proof, const receipt::SignedReceipt& receipt, const receipt::KeyRing& keys);

/// One JSON object, every field of the receipt by its name.
std::string receipt_json(const receipt::SignedReceipt& receipt);
/// For people: a bill.
std::string receipt_text(const receipt::SignedReceipt& receipt);

}  // namespace tidegate::cli

#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "cli/receipt_file.h"

namespace tidegate::cli {

/// What an offline check of some receipts found.
struct VerifyReport {
  struct Problem {
    std::string where;
    std::string request;  ///< "" when it cannot be read
    Error error;
  };
  std::size_t receipts = 0;
  std::size_t sound = 0;
  std::size_t links = 0;     ///< neighbours compared
  std::size_t proofs = 0;    ///< proved to be in a day's tree
  bool is_complete = false;  ///< every chain seen from its first receipt without a gap
  std::vector<Problem> problems;
};

struct VerifyRules {
  bool wants_chain = false;  ///< a gap is a problem
  bool wants_proof = false;  ///< a receipt without a proof is a problem
};

/// Signature, arithmetic, neighbourhood and proof of each. A receipt has one problem at most: the first.
VerifyReport verify_receipts(std::vector<FoundReceipt> receipts, const receipt::KeyRing& keys,
                             const std::vector<DayProof>& proofs, const VerifyRules& rules);

}  // namespace tidegate::cli

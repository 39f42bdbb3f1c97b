// The list of batches, live.

import { followCards } from "./cards.js";

const section = document.getElementById("recent");
if (section) followCards(section);

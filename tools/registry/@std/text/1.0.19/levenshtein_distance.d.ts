// Declarations of @std/text/levenshtein-distance, for where JSR cannot be reached.

export declare function levenshteinDistance(str1: string, str2: string): number;

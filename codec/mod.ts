// Placeholder until its package lands.
export {};
